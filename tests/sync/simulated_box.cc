#include "tests/sync/simulated_box.h"

#include <algorithm>
#include <utility>

namespace sluice::sync {

SimulatedBox::SimulatedBox(BoxOptions options, std::string shop, std::unique_ptr<ModelOutbox> outbox, Timeline& time,
                           Random& random, SimulatedWire& wire)
    : options_(std::move(options)),
      shop_(std::move(shop)),
      outbox_(std::move(outbox)),
      time_(time),
      random_(random),
      dice_(random),
      wire_(wire) {
  StartSender();
}

uint64_t SimulatedBox::Append(std::string payload) {
  const uint64_t number = outbox_->Append(options_.queue, std::move(payload));
  sender_->ItemsAvailable();
  Poke();
  return number;
}

void SimulatedBox::BreakLink() {
  if (connection_ != nullptr) wire_.Break(connection_);
}

void SimulatedBox::LinkDown(int64_t until_us) {
  link_down_until_ = until_us;
  BreakLink();
}

void SimulatedBox::Prompt() {
  retry_->Prompt(time_.now());
  Poke();
}

void SimulatedBox::PowerCut(bool tail_known) {
  if (const auto connection = std::exchange(connection_, nullptr)) {
    wire_.Break(connection);
    connection->client_gone = true;
  }
  outbox_->Crash(tail_known);
  // A start reads the certificate, whatever the store says.
  if (outbox_->running().shop != shop_) outbox_->BeginEpoch(shop_).IgnoreError();
  StartSender();
}

void SimulatedBox::Restart(std::unique_ptr<ModelOutbox> outbox) {
  outbox_ = std::move(outbox);
  PowerCut(false);
}

void SimulatedBox::ChangeShop(const std::string& shop) {
  shop_ = shop;
  if (!outbox_->BeginEpoch(shop).ok()) return;
  // Streams under the old certificate end.
  if (connection_ != nullptr) End(absl::UnavailableError("the certificate changed"), dice_.Chance(0.5));
}

void SimulatedBox::Stop() {
  stopped_ = true;
  if (connection_ != nullptr) End(absl::CancelledError("stopped"), true);
}

void SimulatedBox::StartSender() {
  if (sender_ != nullptr) welcomes_before_ += sender_->figures().welcomes;
  sender_ = std::make_unique<Sender>(options_.sender, options_.queue, *outbox_, share_, static_cast<Observer*>(this));
  retry_ = std::make_unique<RetryPolicy>(options_.retry, random_);
  retry_->Prompt(time_.now());
  writing_ = false;
  Poke();
}

void SimulatedBox::Poke() {
  if (std::exchange(poked_, true)) return;
  time_.At(time_.now(), [this] {
    poked_ = false;
    Pump();
  });
}

void SimulatedBox::Pump() {
  if (stopped_) return;
  if (connection_ == nullptr) {
    if (time_.now() < retry_->next_try_us()) return PumpAt(retry_->next_try_us());
    Connect();
    if (connection_ == nullptr) return PumpAt(retry_->next_try_us());
  }
  if (writing_) return;
  v1::ClientFrame frame;
  const absl::StatusOr<bool> written = sender_->Next(time_.now(), frame);
  if (!written.ok()) return End(written.status());
  if (!*written) return PumpAt(sender_->WakeAtUs());
  // The transport takes a moment before it takes the next.
  writing_ = true;
  time_.After(dice_.Upto(2000), [this, connection = connection_] {
    if (connection != connection_) return;
    writing_ = false;
    Poke();
  });
  wire_.Send(connection_, std::move(frame));
}

void SimulatedBox::PumpAt(int64_t at_us) {
  if (at_us == Sender::kNever) return;
  at_us = std::max(at_us, time_.now() + 100);
  if (next_pump_us_ > time_.now() && next_pump_us_ <= at_us) return;
  next_pump_us_ = at_us;
  time_.At(at_us, [this, at_us] {
    if (next_pump_us_ == at_us) next_pump_us_ = 0;
    Pump();
  });
}

void SimulatedBox::Connect() {
  ++streams_;
  if (time_.now() < link_down_until_) {
    retry_->Ended({.status = absl::UnavailableError("no route")}, dice_.Chance(0.5), time_.now());
    return;
  }
  connection_ = wire_.Connect({.gateway = options_.gateway, .shop = shop_});
  const std::weak_ptr<Connection> weak = connection_;
  connection_->on_frame = [this, weak](const v1::ServerFrame& frame) {
    if (weak.lock() != connection_) return;
    const absl::Status status = sender_->OnFrame(frame, time_.now());
    if (!status.ok()) return End(status);
    Poke();
  };
  connection_->on_end = [this, weak](absl::Status status) {
    if (weak.lock() == connection_) End(std::move(status));
  };
  writing_ = false;
  const absl::Status status = sender_->Connected(
      {.gateway = options_.gateway, .shop = shop_, .hardware_id = options_.hardware, .software = "simulation"}, time_.now());
  if (!status.ok()) End(status);
}

void SimulatedBox::End(absl::Status status, bool clean) {
  const std::shared_ptr<Connection> connection = std::exchange(connection_, nullptr);
  const StreamEnd end = sender_->Disconnected(std::move(status), std::nullopt, time_.now());
  retry_->Ended(end, false, time_.now());
  wire_.HangUp(connection, clean);
  Poke();
}

}  // namespace sluice::sync
