#include "devices/transport/paho_shared.h"

#include <utility>

#include "devices/transport/shut_connections.h"
#include "mqtt/async_client.h"

namespace sluice::transport {
namespace {

using Lock = std::unique_lock<std::mutex>;

class Answer final : public mqtt::iaction_listener {
 public:
  Answer(std::shared_ptr<PahoShared> shared, uint64_t request) : shared_(std::move(shared)), request_(request) {}
  void on_success(const mqtt::token& token) override {
    PahoOutcome outcome{.ok = true, .code = token.get_return_code(), .reason = static_cast<int>(token.get_reason_code())};
    if (token.get_type() == mqtt::token::Type::CONNECT) {
      try {
        outcome.session_present = token.get_connect_response().is_session_present();
      } catch (const std::exception&) {
        // A library without the answer's details: as if the session were new, so that we subscribe again.
      }
    }
    Deliver(outcome);
  }
  void on_failure(const mqtt::token& token) override {
    PahoOutcome outcome{.ok = false, .code = token.get_return_code(), .reason = static_cast<int>(token.get_reason_code())};
    if (token.get_type() == mqtt::token::Type::CONNECT) {
      try {
        token.get_connect_response();
      } catch (const mqtt::exception& error) {
        outcome.message = error.get_message();   // not to be had in any other way
      } catch (const std::exception&) {
        // Then without.
      }
    }
    Deliver(outcome);
  }

 private:
  void Deliver(const PahoOutcome& outcome) {
    shared_->OnAnswer(request_, outcome);
    delete this;
  }

  const std::shared_ptr<PahoShared> shared_;
  const uint64_t request_;
};

class Published final : public mqtt::iaction_listener {
 public:
  Published(std::shared_ptr<PahoShared> shared, uint64_t generation) : shared_(std::move(shared)), generation_(generation) {}
  void on_success(const mqtt::token&) override { Done(); }
  void on_failure(const mqtt::token&) override { Done(); }

 private:
  void Done() {
    shared_->OnPublished(generation_);
    delete this;
  }

  const std::shared_ptr<PahoShared> shared_;
  const uint64_t generation_;
};

}  // namespace

mqtt::iaction_listener* NewAnswer(std::shared_ptr<PahoShared> shared, uint64_t request) {
  return new Answer(std::move(shared), request);
}

mqtt::iaction_listener* NewPublished(std::shared_ptr<PahoShared> shared, uint64_t generation) {
  return new Published(std::move(shared), generation);
}

void PahoShared::OnAnswer(uint64_t of_request, const PahoOutcome& what) {
  {
    Lock lock(mu);
    if (request == of_request) outcome = what;
  }
  changed.notify_all();
}

void PahoShared::OnPublished(uint64_t of_generation) {
  {
    Lock lock(mu);
    // Those of a dropped client were given up when it was dropped.
    if (generation != of_generation) return;
    --publishing;
  }
  CallPublished();
}

void PahoShared::CallPublished() {
  {
    Lock lock(mu);
    if (stopping || !handlers.on_published) return;
    ++handling;
  }
  handlers.on_published();
  Lock lock(mu);
  --handling;
  if (stopping) changed.notify_all();
}

void PahoShared::OnMessage(const mqtt::message& message, std::string_view topic) {
  bool take = false;
  {
    Lock lock(mu);
    ++handling;
    take = !stopping && !cut;
  }
  if (take) {
    const mqtt::binary_ref& payload = message.get_payload_ref();
    take = handlers.on_message({.topic = topic,
                                .payload = {payload.data(), payload.size()},
                                .retained = message.is_retained(),
                                .qos = message.get_qos(),
                                .duplicate = message.is_duplicate()}) == MqttTaken::kTaken;
  }
  // Paho sends the PUBACK as soon as we return, and cannot disconnect before: it holds the lock for that itself. So the
  // PUBACK must find the socket shut; if the socket is not to be found, we return only when the process is over.
  const bool shut = take || ShutConnectionsTo(address) > 0;
  Lock lock(mu);
  if (!take) cut = true;
  --handling;
  // Only Stop waits for handlers: waking the keeper for each message would double the price of one.
  if (stopping || !take) changed.notify_all();
  if (!shut) changed.wait(lock, [] { return false; });
}

void PahoShared::OnLost(std::string why) {
  {
    Lock lock(mu);
    lost = true;
    if (lost_why.empty()) lost_why = std::move(why);
  }
  changed.notify_all();
}

}  // namespace sluice::transport
