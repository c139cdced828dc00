#include "devices/sim/device.h"

#include <algorithm>

#include "base/status.h"
#include "devices/sim/mqtt_packet.h"
#include "devices/sim/text.h"

namespace sluice::sim {
namespace {

constexpr int64_t kLongestPatienceUs = 60'000'000;
constexpr int64_t kAskAgainUs = 100'000;
constexpr std::string_view kPad =
    "----------------------------------------------------------------------------------------------------------------"
    "----------------------------------------------------------------------------------------------------------------";

int64_t UnixMicroseconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

Device::Device(std::string name, std::unique_ptr<Family> family, const DeviceOptions& options, Shared& shared)
    : name_(std::move(name)),
      family_(std::move(family)),
      options_(options),
      shared_(shared),
      patience_us_(options.resend_after_us) {}

void Device::Produce(Wish wish) {
  members_.clear();
  if (say_online_ && wish != Wish::kCritical) {
    wish = Wish::kOnline;
    say_online_ = false;
  }
  OpenEvent event{.boot = options_.boot, .seq = next_seq_++};
  event.kind = family_->Next(wish, members_);
  std::string& body = event.body;
  body.reserve(options_.body_bytes + 32);
  body += '{';
  if (options_.serial) Append(body, "\"device\":\"", name_, "\",\"kind\":\"", KindName(event.kind), "\",");
  Append(body, "\"boot\":", event.boot, ",\"seq\":", event.seq, ",\"time\":", shared_.clock.WallMs(), members_);
  constexpr size_t kPadFrame = 12;  // ,"x_pad":"" and the brace
  if (body.size() + kPadFrame < options_.body_bytes) {
    body += ",\"x_pad\":\"";
    while (body.size() + 2 < options_.body_bytes) body += kPad.substr(0, options_.body_bytes - body.size() - 2);
    body += '"';
  }
  body += '}';
  if (shared_.state.enabled()) shared_.state.Keep(name_, event);
  open_.Add(std::move(event));
  ++shared_.counters.produced;
  MarkReady();
}

void Device::MarkReady() {
  // While it is down, OnUp will do it.
  if (ready_ || !up_ || open_.Next() == nullptr) return;
  ready_ = true;
  shared_.ready.push_back(this);
}

size_t Device::Pump(size_t limit) {
  ready_ = false;
  if (!up_ || open_.Next() == nullptr) return 0;
  if (audience_ == Audience::kAsked) return 0;  // the answer makes it ready
  if (!link_->CanSend() || (audience_ == Audience::kUnknown && shared_.clock.MonotonicUs() < ask_at_us_)) {
    MarkReady();
    return 0;
  }
  if (audience_ == Audience::kUnknown) limit = std::min<size_t>(limit, 1);
  size_t count = 0;
  while (count < limit) {
    OpenEvent* event = open_.Next();
    if (event == nullptr) break;
    const int64_t now_us = UnixMicroseconds();
    const bool first_open = !open_.AnySent();
    if (!link_->Send(*event)) break;
    event->sent_us = shared_.clock.MonotonicUs();
    if (first_open) waiting_since_us_ = event->sent_us;
    if (shared_.counters.first_sent_us == 0) shared_.counters.first_sent_us = event->sent_us;
    shared_.ledger.Sent(name_, event->boot, event->seq, event->kind, now_us, event->body);
    ++shared_.counters.sent;
    if (event->sent) ++shared_.counters.resent;
    shared_.counters.bytes += event->body.size();
    open_.Sent();
    if (audience_ == Audience::kUnknown) audience_ = Audience::kAsked;
    ++count;
  }
  link_->EndBurst();
  MarkReady();
  return count;
}

void Device::CheckTimeout(int64_t now_us) {
  if (!options_.receipts || !up_ || !open_.AnySent() || open_.empty()) return;
  if (now_us - waiting_since_us_ < patience_us_) return;
  open_.GoBack();
  MarkReady();
  waiting_since_us_ = now_us;
  patience_us_ = std::min(patience_us_ * 2, std::max(kLongestPatienceUs, options_.resend_after_us));
}

void Device::Progress() {
  patience_us_ = options_.resend_after_us;
  waiting_since_us_ = shared_.clock.MonotonicUs();
  shared_.counters.last_answer_us = waiting_since_us_;
}

void Device::OnUp() {
  up_ = true;
  say_online_ = true;
  open_.GoBack();
  // A serial line has no broker that would tell; without receipts the broker's word is all that counts.
  const bool asks = options_.receipts && !options_.serial && !options_.hasty;
  audience_ = asks ? Audience::kUnknown : Audience::kThere;
  ask_at_us_ = 0;
  MarkReady();
}

void Device::OnDown(std::string_view reason) {
  if (up_) ++shared_.counters.disconnects;
  up_ = false;
  shared_.counters.last_failure = StrCat(name_, ": ", reason);
}

void Device::OnPuback(uint64_t boot, uint64_t seq) {
  ++shared_.counters.puback;
  shared_.ledger.Puback(name_, boot, seq);
  if (const OpenEvent* event = open_.Find(boot, seq); event != nullptr) {
    shared_.counters.puback_us.Add(shared_.clock.MonotonicUs() - event->sent_us);
  }
  Answered();
  if (!options_.receipts) Done(boot, seq);
}

void Device::OnUnheard(uint64_t boot, uint64_t seq) {
  ++shared_.counters.puback;
  ++shared_.counters.unheard;
  shared_.ledger.Unheard(name_, boot, seq);
  if (!options_.receipts) {
    Done(boot, seq);
  } else if (!options_.hasty) {
    audience_ = Audience::kUnknown;
    ask_at_us_ = shared_.clock.MonotonicUs() + kAskAgainUs;
    open_.GoBack();
    MarkReady();
  }
}

void Device::Done(uint64_t boot, uint64_t seq) {
  if (!open_.CloseOne(boot, seq)) return;
  if (shared_.state.enabled()) shared_.state.Closed(name_, boot, seq, seq);
  Progress();
}

void Device::Answered() {
  if (audience_ != Audience::kAsked) return;
  audience_ = Audience::kThere;
  MarkReady();
}

void Device::OnServerRefusal(uint64_t boot, uint64_t seq, uint8_t reason_code, std::string_view text) {
  Answered();  // it is no answer to the question, but asking with the same event again would hold up all others
  ++shared_.counters.server_refused;
  shared_.counters.last_failure = StrCat(name_, ": the server refused event ", seq, ": ", text);
  if (options_.receipts || reason_code == kMqttQuotaExceeded) return;
  const OpenEvent* const event = open_.Find(boot, seq);
  if (event == nullptr || event->closed) return;
  Refuse(*event, text);
  open_.CloseOne(boot, seq);
  Progress();
}

void Device::Refuse(const OpenEvent& event, std::string_view reason) {
  ++shared_.counters.refused;
  shared_.ledger.Refused(name_, event.boot, event.seq, reason);
  if (shared_.state.enabled()) shared_.state.Closed(name_, event.boot, event.seq, event.seq);
  shared_.counters.last_failure = StrCat(name_, ": refused ", KindName(event.kind), " ", event.seq, ": ", reason);
}

void Device::OnReceipt(const absl::StatusOr<Receipt>& receipt) {
  if (!receipt.ok()) {
    ++shared_.counters.bad_receipts;
    shared_.counters.last_failure = StrCat(name_, ": receipt: ", MessageOf(receipt.status()));
    return;
  }
  ++shared_.counters.receipts;
  shared_.ledger.Received(name_, *receipt);
  const OpenEvents::Change change = open_.Close(*receipt);
  shared_.counters.receipted += change.closed;
  for (const auto& [event, reason] : change.refused) Refuse(event, reason);
  if (change.closed == 0 && change.refused.empty()) return;
  if (shared_.state.enabled()) {
    for (const auto& [first, last] : receipt->ranges) shared_.state.Closed(name_, receipt->boot, first, last);
  }
  Progress();
}

}  // namespace sluice::sim
