#include "sync/sender.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/status.h"

namespace sluice::sync {
namespace {

constexpr uint32_t kProtocol = 1;
// A number above this was not counted by anyone (case 37).
constexpr uint64_t kMaxNumber = uint64_t{1} << 62;
// The cloud moved its cursor back under us: its Welcome tells the new one, and soon.
constexpr int64_t kRewoundRetryMs = 1'000;

}  // namespace

Sender::Sender(SenderOptions options, Queue queue, Outbox& outbox, LinkShare& share, Observer* observer)
    : options_(options),
      queue_(queue),
      outbox_(outbox),
      share_(share),
      observer_(observer),
      pacing_(options.pacing, IsBulk(queue)) {}

absl::Status Sender::Connected(StreamIdentity identity, int64_t now_us) {
  identity_ = std::move(identity);
  state_ = State::kHello;
  state_since_us_ = now_us;
  proved_ = slow_ = welcomed_ = alarmed_ = outrun_ = false;
  hint_ms_.reset();
  goodbye_.clear();
  refusals_in_a_row_ = 0;
  stretches_.clear();
  std::vector<Held> held = outbox_.HeldEpochs(queue_);
  if (held.empty()) return absl::InternalError("the outbox names no running epoch");
  const Epoch running = held.back().epoch;
  if (running.gateway != identity_.gateway) {
    return RaiseAlarm(Alarm::kForeignEpoch, StrCat("the certificate names gateway ", identity_.gateway,
                                                   ", the running epoch is of ", running.gateway));
  }
  if (running.shop != identity_.shop && alarmed_shop_ != identity_.shop) {
    alarmed_shop_ = identity_.shop;
    Tell(Alarm::kShopChanged, StrCat("the certificate names shop ", identity_.shop, ", the running epoch is of ", running.shop));
  }
  for (Held& one : held) {
    if (one.epoch.gateway != identity_.gateway) {
      if (foreign_.insert(one.epoch.id).second) {
        Tell(Alarm::kForeignEpoch,
             StrCat("items ", one.first, " to ", one.last, " of gateway ", one.epoch.gateway, " are not sent"));
      }
      continue;
    }
    // Of an earlier epoch the cloud may have more than we do (our unsynced tail); of the running one we counted it all.
    const uint64_t last = one.epoch.id == running.id ? std::max(one.last, one.acked_to) : one.last;
    stretches_.push_back(Stretch{.epoch = std::move(one.epoch), .last = last, .cursor = one.acked_to});
    // Kept only until Hello is written: where the held part begins.
    stretches_.back().next = one.first;
  }
  return absl::OkStatus();
}

void Sender::FillHello(v1::Hello& hello) {
  hello.set_protocol(kProtocol);
  hello.set_queue(static_cast<v1::Queue>(queue_));
  hello.set_gateway(identity_.gateway);
  hello.set_hardware_id(identity_.hardware_id);
  hello.set_software(identity_.software);
  for (const Stretch& stretch : stretches_) {
    v1::HeldEpoch* held = hello.add_epochs();
    held->set_epoch(std::string(stretch.epoch.id.View()));
    held->set_ordinal(stretch.epoch.ordinal);
    held->set_shop(stretch.epoch.shop);
    held->set_first(stretch.next);
    held->set_last(stretch.last);
  }
}

absl::Status Sender::OnFrame(const v1::ServerFrame& frame, int64_t now_us) {
  switch (frame.frame_case()) {
    case v1::ServerFrame::kWelcome:
      if (state_ != State::kAwaitWelcome) return absl::InternalError("the cloud sent a Welcome that was not due");
      return OnWelcome(frame.welcome(), now_us);
    case v1::ServerFrame::kAck:
      if (state_ == State::kLeaving || state_ == State::kStreaming) return OnAck(frame.ack(), now_us);
      return absl::InternalError("the cloud sent an Ack before Welcome");
    case v1::ServerFrame::kRefusal:
      if (state_ == State::kLeaving) return absl::OkStatus();
      if (state_ == State::kStreaming) return OnRefusal(frame.refusal());
      return absl::InternalError("the cloud sent a Refusal before Welcome");
    case v1::ServerFrame::kGoodbye:
      OnGoodbye(frame.goodbye(), now_us);
      return absl::OkStatus();
    case v1::ServerFrame::FRAME_NOT_SET:
      break;
  }
  return absl::OkStatus();  // of a newer protocol: nothing that this one has to know
}

absl::Status Sender::OnWelcome(const v1::Welcome& welcome, int64_t now_us) {
  std::map<size_t, const v1::EpochCursor*> cursors;
  for (const v1::EpochCursor& cursor : welcome.cursors()) {
    const auto index = Find(cursor.epoch());
    if (!index) return absl::InternalError("Welcome names an epoch that Hello did not");
    if (cursor.cursor() > kMaxNumber) return absl::InternalError("Welcome names a number that nobody counted");
    cursors[*index] = &cursor;
  }
  if (cursors.size() != stretches_.size()) return absl::InternalError("Welcome lacks a cursor for an epoch of Hello");

  // A cloud that was restored may have lost what it acknowledged.
  const bool restored = !generation_.empty() && generation_ != welcome.generation();
  std::vector<Floor> floors;
  absl::Status alarm;
  for (const auto& [index, cursor] : cursors) {
    const Stretch& stretch = stretches_[index];
    const uint64_t number = cursor->cursor();
    floors.push_back(Floor{.epoch = stretch.epoch.id, .cursor = number});
    const OurSide ours{.epoch = stretch.epoch.id,
                       .running = Running(index),
                       .last = stretch.last,
                       .trusted_to = restored ? 0 : stretch.cursor,
                       .id = number == 0 ? std::nullopt : outbox_.IdAt(queue_, stretch.epoch.id, number)};
    if (const auto contradiction = FindContradiction(ours, number, cursor->event_id())) {
      alarm.Update(KeyAnew(stretch, number <= ours.trusted_to ? 0 : ours.trusted_to, *contradiction));
    }
  }
  if (!alarm.ok()) {
    contradicted_ = true;
    return alarm;
  }
  if (const absl::Status recovered = outbox_.Recover(queue_, floors); !recovered.ok()) {
    return WithContext(recovered, "recover the outbox");
  }
  // At or below what is acknowledged here: an earlier Ack or Welcome named it.
  google::protobuf::RepeatedPtrField<v1::DeadLetter> untold;
  for (const v1::DeadLetter& letter : welcome.dead_letters()) {
    const auto index = Find(letter.epoch());
    if (index && letter.number() > stretches_[*index].cursor) *untold.Add() = letter;
  }
  for (size_t i = 0; i < stretches_.size(); ++i) {
    stretches_[i].cursor = floors[i].cursor;
    stretches_[i].next = floors[i].cursor + 1;
  }
  current_ = 0;
  may_have_items_ = true;
  SkipCompleteEpochs();
  if (restored) ++figures_.restores;
  generation_ = welcome.generation();
  at_once_allowed_ = welcome.reconnect_at_once();
  pacing_.Restart(now_us);
  pacing_.SetCredit(welcome.credit().items(), welcome.credit().bytes());
  NoteDeadLetters(untold);
  ++figures_.welcomes;
  welcomed_ = true;
  lease_.Held();
  state_ = State::kStreaming;
  state_since_us_ = last_progress_us_ = now_us;
  outbox_.LinkUp(queue_, true);
  UpdateShare();
  return absl::OkStatus();
}

absl::Status Sender::KeyAnew(const Stretch& stretch, uint64_t trusted, const Contradiction& why) {
  const absl::Status alarm = RaiseAlarm(why.alarm, why.text);
  if (const absl::Status keyed = outbox_.KeyAnew(queue_, stretch.epoch.id, trusted); !keyed.ok()) {
    return WithContext(keyed, StrCat(MessageOf(alarm), "; key anew what is pending"));
  }
  ++figures_.keyed_anew;
  // The next Hello lists the fresh keys. A cloud that contradicts them as well is not to be pressed.
  if (!contradicted_) {
    slow_ = false;
    hint_ms_ = kRewoundRetryMs;
  }
  return alarm;
}

absl::Status Sender::OnAck(const v1::Ack& ack, int64_t now_us) {
  const auto index = Find(ack.epoch());
  if (!index) return absl::InternalError("Ack names an epoch that Hello did not");
  if (ack.cursor() > kMaxNumber) return absl::InternalError("Ack names a number that nobody counted");
  Stretch& stretch = stretches_[*index];
  if (ack.cursor() >= stretch.next && Running(*index)) {
    return RaiseAlarm(Alarm::kAckBeyondSent, StrCat("the cloud acknowledged ", ack.cursor(), ", the last number sent is ",
                                                    stretch.next - 1));
  }
  if (ack.has_credit()) pacing_.SetCredit(ack.credit().items(), ack.credit().bytes());
  NoteDeadLetters(ack.dead_letters());
  ++figures_.acks;
  if (ack.cursor() > stretch.cursor) {
    outbox_.Acknowledge(queue_, stretch.epoch.id, ack.cursor());
    stretch.cursor = ack.cursor();
    stretch.next = std::max(stretch.next, ack.cursor() + 1);
    refusals_in_a_row_ = 0;
    contradicted_ = false;
    proved_ = true;
    last_progress_us_ = now_us;
    figures_.acked_items += pacing_.Acknowledged(*index, ack.cursor(), now_us);
    SkipCompleteEpochs();
  }
  UpdateShare();
  return absl::OkStatus();
}

absl::Status Sender::OnRefusal(const v1::Refusal& refusal) {
  ++figures_.refusals;
  const auto index = Find(refusal.epoch());
  if (!index) return absl::InternalError("Refusal names an epoch that Hello did not");
  Stretch& stretch = stretches_[*index];
  const uint64_t number = refusal.restart_at();
  if (number == 0 || (number > stretch.next && Running(*index))) {
    return RaiseAlarm(Alarm::kAckBeyondSent, StrCat("the cloud wants ", number, ", the last number sent is ",
                                                    stretch.next - 1));
  }
  if (*index != current_ || number != stretch.cursor + 1) {
    // Its Welcome said otherwise, or acknowledged more: only a new Welcome and a recovery bring both together.
    hint_ms_ = kRewoundRetryMs;
    return absl::AbortedError(absl::StrCat("the cloud wants ", number, " after it acknowledged ", stretch.cursor));
  }
  if (++refusals_in_a_row_ > options_.max_refusals_in_a_row) {
    return absl::FailedPreconditionError(absl::StrCat("refused ", refusals_in_a_row_, " times at ", number, ": ",
                                                      refusal.reason().substr(0, 200)));
  }
  pacing_.Drop();
  stretch.next = number;
  may_have_items_ = true;
  return absl::OkStatus();
}

void Sender::OnGoodbye(const v1::Goodbye& goodbye, int64_t now_us) {
  if (goodbye.retry_after_ms() > 0) hint_ms_ = goodbye.retry_after_ms();
  goodbye_ = goodbye.reason().substr(0, 200);
  state_ = State::kLeaving;
  state_since_us_ = now_us;
}

StreamEnd Sender::Disconnected(absl::Status status, std::optional<int64_t> hint_ms, int64_t now_us) {
  const bool lasted = state_ == State::kStreaming && now_us - state_since_us_ >= options_.proved_after_us;
  WatchLease(status, now_us);
  StreamEnd end;
  end.status = goodbye_.empty() ? std::move(status) : WithContext(status, StrCat("goodbye (", goodbye_, ")"));
  end.hint_ms = hint_ms_ ? hint_ms_ : hint_ms;
  end.proved = proved_ || lasted;
  end.slow = slow_;
  end.at_once_allowed = at_once_allowed_;
  state_ = State::kDown;
  stretches_.clear();
  pacing_.Drop();
  outbox_.LinkUp(queue_, false);
  share_.SetWaiting(queue_, false);
  return end;
}

void Sender::WatchLease(const absl::Status& end, int64_t now_us) {
  if (alarmed_) return;
  if (!welcomed_ && absl::IsFailedPrecondition(end) && lease_.Refused()) {
    // No reason to be slow: the cloud says when the lease may be free.
    Tell(Alarm::kLeaseHeld, StrCat("another box uses the certificate of ", identity_.gateway, ": ", MessageOf(end)));
  }
  // With a Goodbye, or a hint of our own, it is something else that was aborted.
  if (state_ != State::kStreaming || !absl::IsAborted(end) || hint_ms_ || !lease_.Lost(now_us)) return;
  KeyAnew(stretches_.back(), stretches_.back().cursor,
          {Alarm::kCloned, "the lease was taken from us again and again: another box runs under our epoch"})
      .IgnoreError();
}

void Sender::ItemsAvailable() { may_have_items_ = true; }

absl::Status Sender::Overdue(int64_t now_us) const {
  switch (state_) {
    case State::kAwaitWelcome:
      if (now_us - state_since_us_ < options_.welcome_timeout_us) break;
      return absl::DeadlineExceededError("no Welcome");
    case State::kLeaving:
      if (now_us - state_since_us_ < options_.goodbye_timeout_us) break;
      return absl::UnavailableError("the cloud said goodbye and did not hang up");
    case State::kStreaming:
      if (pacing_.idle() || now_us - last_progress_us_ < options_.ack_timeout_us) break;
      return absl::DeadlineExceededError("no acknowledgement");
    case State::kDown:
    case State::kHello:
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Sender::Next(int64_t now_us, v1::ClientFrame& frame) {
  switch (state_) {
    case State::kDown:
      return false;
    case State::kHello:
      frame.Clear();
      FillHello(*frame.mutable_hello());
      state_ = State::kAwaitWelcome;
      state_since_us_ = last_frame_us_ = now_us;
      return true;
    case State::kAwaitWelcome:
    case State::kLeaving:
      RETURN_IF_ERROR(Overdue(now_us));
      return false;
    case State::kStreaming:
      break;
  }
  RETURN_IF_ERROR(Overdue(now_us));
  ASSIGN_OR_RETURN(const bool filled, FillBatch(now_us, frame));
  UpdateShare();
  if (filled) {
    last_frame_us_ = now_us;
    return true;
  }
  if (outrun_ && pacing_.idle()) {
    // Hello has to name it before anything of it may be sent.
    hint_ms_ = 0;
    return absl::UnavailableError("another epoch has begun");
  }
  if (now_us - last_frame_us_ >= options_.renew_us) {
    frame.Clear();
    frame.mutable_renew();
    last_frame_us_ = now_us;
    ++figures_.renewals;
    return true;
  }
  return false;
}

absl::StatusOr<bool> Sender::FillBatch(int64_t now_us, v1::ClientFrame& frame) {
  Stretch& stretch = stretches_[current_];
  const bool running = Running(current_);
  if (!may_have_items_ || (!running && stretch.next > stretch.last)) return false;
  const std::optional<ReadLimits> room = pacing_.Room(now_us, share_.UrgentWaits());
  if (!room) return false;

  absl::StatusOr<std::vector<Item>> items = outbox_.Read(queue_, stretch.epoch.id, stretch.next, *room);
  if (!items.ok()) return WithContext(items.status(), "read the outbox");
  if (items->empty()) {
    if (!running) {
      return RaiseAlarm(Alarm::kOutboxHole, StrCat("items ", stretch.next, " to ", stretch.last, " of epoch ",
                                                   stretch.epoch.id.ToHex(), " are neither held nor declared lost"));
    }
    may_have_items_ = false;
    outrun_ = outbox_.RunningEpoch(queue_).id != stretch.epoch.id;
    return false;
  }

  // The repeated items and their messages are kept over Clear, so that a busy stream does not allocate them anew.
  if (!frame.has_batch()) frame.Clear();
  v1::Batch* batch = frame.mutable_batch();
  batch->Clear();
  batch->set_epoch(std::string(stretch.epoch.id.View()));
  const uint64_t first = stretch.next;
  uint64_t next = stretch.next;
  uint64_t bytes = 0;
  for (Item& item : *items) {
    const bool follows = next == first ? item.first <= next && next <= item.last : item.first == next;
    if (!follows || item.first > item.last || item.first == 0) {
      return RaiseAlarm(Alarm::kOutboxHole, StrCat("item ", item.first, " to ", item.last, " stands where ", next,
                                                   " should, in epoch ", stretch.epoch.id.ToHex()));
    }
    bytes += item.Cost();
    next = item.last + 1;
    v1::Item* out = batch->add_items();
    out->set_first(item.first);
    out->set_last(item.last);
    if (item.IsGap()) {
      out->mutable_gap()->set_reason(static_cast<v1::GapReason>(item.gap));
    } else {
      out->set_event(std::move(item.bytes));
    }
  }
  if (pacing_.idle()) last_progress_us_ = now_us;
  pacing_.Sent(current_, next - 1, items->size(), bytes, *room, now_us);
  stretch.next = next;
  ++figures_.sent_batches;
  figures_.sent_items += items->size();
  figures_.sent_bytes += bytes;
  outbox_.Sent(queue_, stretch.epoch.id, first, next - 1);
  return true;
}

int64_t Sender::WakeAtUs() const {
  switch (state_) {
    case State::kDown:
      return kNever;
    case State::kHello:
      return 0;
    case State::kAwaitWelcome:
      return state_since_us_ + options_.welcome_timeout_us;
    case State::kLeaving:
      return state_since_us_ + options_.goodbye_timeout_us;
    case State::kStreaming:
      break;
  }
  int64_t wake = last_frame_us_ + options_.renew_us;
  if (!pacing_.idle()) wake = std::min(wake, last_progress_us_ + options_.ack_timeout_us);
  const Stretch& stretch = stretches_[current_];
  const bool unsent = may_have_items_ && (Running(current_) || stretch.next <= stretch.last);
  if (unsent) wake = std::min(wake, pacing_.DueUs());
  return wake;
}

void Sender::SkipCompleteEpochs() {
  while (!Running(current_) && stretches_[current_].cursor >= stretches_[current_].last) {
    ++current_;
    may_have_items_ = true;
    pacing_.Hurry();
  }
}

void Sender::NoteDeadLetters(const google::protobuf::RepeatedPtrField<v1::DeadLetter>& letters) {
  figures_.dead_letters += static_cast<uint64_t>(letters.size());
  if (observer_ == nullptr) return;
  for (const v1::DeadLetter& letter : letters) {
    const auto epoch = EpochId::FromBytes(letter.epoch());
    observer_->OnDeadLetter(queue_, epoch.value_or(EpochId{}), letter.number(), letter.reason().substr(0, 200));
  }
}

void Sender::Tell(Alarm alarm, const std::string& text) {
  ++figures_.alarms;
  if (observer_ != nullptr) observer_->OnAlarm(queue_, alarm, text);
}

absl::Status Sender::RaiseAlarm(Alarm alarm, const std::string& text) {
  Tell(alarm, text);
  slow_ = alarmed_ = true;
  return absl::FailedPreconditionError(StrCat("alarm ", AlarmName(alarm), ": ", text));
}

std::optional<size_t> Sender::Find(std::string_view epoch) const {
  for (size_t i = stretches_.size(); i-- > 0;) {
    if (stretches_[i].epoch.id.View() == epoch) return i;
  }
  return std::nullopt;
}

SenderFigures Sender::figures() const {
  SenderFigures figures = figures_;
  figures.in_flight_items = pacing_.in_flight_items();
  figures.in_flight_bytes = pacing_.in_flight_bytes();
  figures.ack_time_us = pacing_.ack_time_us();
  figures.rate_bytes_s = pacing_.rate_bytes_s();
  return figures;
}

void Sender::UpdateShare() {
  share_.SetWaiting(queue_, state_ == State::kStreaming && (!pacing_.idle() || may_have_items_));
}

}  // namespace sluice::sync
