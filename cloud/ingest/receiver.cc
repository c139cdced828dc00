#include "cloud/ingest/receiver.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/status.h"
#include "cloud/ingest/plan.h"

namespace sluice::ingest {
namespace {

namespace wire = sync::v1;

constexpr uint32_t kProtocol = 1;
constexpr size_t kMaxNameBytes = 256;

absl::Status Malformed(std::string_view field, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(AsAbsl(field), ": ", AsAbsl(what)));
}

absl::StatusOr<EpochId> ParseEpoch(std::string_view raw, std::string_view field) {
  const auto id = EpochId::FromBytes(raw);
  if (!id) return Malformed(field, StrCat(raw.size(), " bytes, expected 16"));
  if (id->IsZero()) return Malformed(field, "all zero");
  return *id;
}

absl::Status CheckNumbers(uint64_t first, uint64_t last, std::string_view field) {
  if (first == 0) return Malformed(field, "first is 0, numbers begin at 1");
  if (first > last) return Malformed(field, StrCat("first ", first, " is above last ", last));
  if (last > kMaxNumber) return Malformed(field, StrCat("last ", last, " is too large to have been counted"));
  return absl::OkStatus();
}

absl::StatusOr<GapReason> ParseGapReason(wire::GapReason reason, std::string_view field) {
  if (reason < wire::GAP_REASON_CORRUPT || reason > wire::GAP_REASON_BEYOND_REPLAY_WINDOW) {
    return Malformed(field, StrCat("unknown gap reason ", static_cast<int>(reason)));
  }
  return static_cast<GapReason>(reason);
}

// Takes the event's bytes out of `item`.
absl::StatusOr<Item> TakeItem(wire::Item& item, const EpochId& epoch, Queue queue) {
  RETURN_IF_ERROR(CheckNumbers(item.first(), item.last(), "batch.items"));
  Item taken;
  taken.epoch = epoch;
  taken.queue = queue;
  taken.first = item.first();
  taken.last = item.last();
  switch (item.what_case()) {
    case wire::Item::kEvent:
      if (taken.first != taken.last) return Malformed("batch.items.event", "a record has one number");
      taken.bytes = std::move(*item.mutable_event());
      break;
    case wire::Item::kGap: {
      ASSIGN_OR_RETURN(taken.gap, ParseGapReason(item.gap().reason(), "batch.items.gap.reason"));
      break;
    }
    case wire::Item::WHAT_NOT_SET:
      return Malformed("batch.items", "neither event nor gap");
  }
  return taken;
}

void FillDeadLetters(const std::vector<DeadLetter>& from, google::protobuf::RepeatedPtrField<wire::DeadLetter>* to) {
  for (const DeadLetter& letter : from) {
    wire::DeadLetter* out = to->Add();
    out->set_epoch(std::string(letter.epoch.View()));
    out->set_number(letter.number);
    out->set_reason(letter.reason);
  }
}

}  // namespace

Receiver::Receiver(ReceiverOptions options, Peer peer, CursorStore& store, const Clock& clock)
    : options_(std::move(options)),
      peer_(std::move(peer)),
      store_(store),
      clock_(clock),
      credit_items_(options_.credit_items),
      credit_bytes_(options_.credit_bytes) {}

Reply Receiver::OnFrames(std::vector<wire::ClientFrame> frames) {
  Reply reply;
  if (closed_) return reply;
  Pending pending;
  absl::Status status;
  for (wire::ClientFrame& frame : frames) {
    ++figures_.frames;
    if (!welcomed_) {
      status = frame.has_hello() ? OnHello(frame.hello(), reply) : Malformed("frame", "the first must be Hello");
    } else if (frame.has_batch()) {
      status = OnBatch(*frame.mutable_batch(), pending, reply);
    } else if (frame.has_renew()) {
      status = OnRenew(reply);
    } else {
      status = Malformed("frame", frame.has_hello() ? "a second Hello" : "empty, or of a kind unknown here");
    }
    if (!status.ok()) break;
  }
  // What came before a malformed frame was well formed: it takes effect and is acknowledged.
  if (const absl::Status applied = ApplyPending(pending, reply); !applied.ok()) status = applied;
  if (!status.ok()) {
    closed_ = true;
    reply.close = std::move(status);
  }
  return reply;
}

void Receiver::OnEnd(bool clean) {
  closed_ = true;
  if (welcomed_ && clean) store_.Release(lease_);
}

void Receiver::SetCredit(uint64_t items, uint64_t bytes) {
  credit_items_ = items;
  credit_bytes_ = bytes;
}

absl::Status Receiver::OnHello(const wire::Hello& hello, Reply& reply) {
  if (hello.protocol() != kProtocol) {
    return Malformed("hello.protocol", StrCat(hello.protocol(), " is not spoken here, ", kProtocol, " is"));
  }
  if (peer_.gateway.empty()) return absl::UnauthenticatedError("the certificate names no gateway");
  if (hello.gateway() != peer_.gateway) {
    return absl::PermissionDeniedError("hello.gateway: not the gateway of the certificate");
  }
  const auto queue = QueueFromNumber(hello.queue());
  if (!queue) return Malformed("hello.queue", StrCat("unknown queue ", static_cast<int>(hello.queue())));
  if (std::find(options_.queues.begin(), options_.queues.end(), *queue) == options_.queues.end()) {
    return Malformed("hello.queue", StrCat(QueueName(*queue), " is not served here"));
  }
  if (hello.hardware_id().empty() || hello.hardware_id().size() > kMaxNameBytes) {
    return Malformed("hello.hardware_id", StrCat(hello.hardware_id().size(), " bytes, expected 1 to ", kMaxNameBytes));
  }
  if (hello.software().size() > kMaxNameBytes) return Malformed("hello.software", "too long");
  if (hello.epochs().empty()) return Malformed("hello.epochs", "empty, expected at least the running one");
  if (static_cast<size_t>(hello.epochs_size()) > options_.max_epochs) {
    return Malformed("hello.epochs", StrCat(hello.epochs_size(), " of them, at most ", options_.max_epochs));
  }

  std::vector<Epoch> epochs;
  std::set<EpochId> seen;
  for (const wire::HeldEpoch& held : hello.epochs()) {
    ASSIGN_OR_RETURN(const EpochId id, ParseEpoch(held.epoch(), "hello.epochs.epoch"));
    if (!seen.insert(id).second) return Malformed("hello.epochs.epoch", "listed twice");
    if (held.shop().empty() || held.shop().size() > kMaxNameBytes) {
      return Malformed("hello.epochs.shop", StrCat(held.shop().size(), " bytes, expected 1 to ", kMaxNameBytes));
    }
    // first 0: nothing is held any more, but `last` was counted.
    if (held.last() != 0 || held.first() != 0) {
      RETURN_IF_ERROR(CheckNumbers(std::max<uint64_t>(held.first(), 1), held.last(), "hello.epochs"));
    }
    epochs.push_back(Epoch{.id = id, .ordinal = held.ordinal(), .gateway = peer_.gateway, .shop = held.shop()});
    stretches_.push_back(
        Stretch{.epoch = id, .first = held.first() == 0 ? held.last() + 1 : held.first(), .last = held.last()});
  }

  absl::StatusOr<Opening> opening = store_.Open(peer_.gateway, *queue, hello.hardware_id(), epochs);
  if (!opening.ok()) {
    if (opening.status().code() == absl::StatusCode::kFailedPrecondition) {
      return Retry(reply, WithContext(opening.status(), "lease"), options_.lease_retry_ms);
    }
    // Only the gateway's own fault is told as such; everything else is the store's and passes.
    const absl::StatusCode code = opening.status().code();
    if (code == absl::StatusCode::kPermissionDenied || code == absl::StatusCode::kInvalidArgument) {
      return opening.status();
    }
    return Retry(reply, absl::UnavailableError(absl::StrCat("store: ", opening.status().message())),
                 options_.store_retry_ms);
  }
  if (opening->cursors.size() != stretches_.size()) return absl::InternalError("store: cursors do not match the epochs");

  lease_ = opening->lease;
  lease_.queue = *queue;
  software_ = hello.software();
  hardware_id_ = hello.hardware_id();
  wire::Welcome* welcome = reply.frames.emplace_back().mutable_welcome();
  for (size_t i = 0; i < stretches_.size(); ++i) {
    const Cursor& cursor = opening->cursors[i];
    stretches_[i].cursor = cursor.number;
    wire::EpochCursor* out = welcome->add_cursors();
    out->set_epoch(std::string(stretches_[i].epoch.View()));
    out->set_cursor(cursor.number);
    if (!cursor.event_id.IsZero()) out->set_event_id(std::string(cursor.event_id.View()));
  }
  welcome->set_generation(std::string(opening->generation.View()));
  FillCredit(welcome->mutable_credit());
  welcome->set_server_time_ms(clock_.WallMs());
  // What lies below all that is held was acknowledged long ago, and named then.
  std::erase_if(opening->dead_letters, [&](const DeadLetter& letter) {
    const Stretch* stretch = Find(letter.epoch);
    return stretch == nullptr || letter.number < stretch->first;
  });
  FillDeadLetters(opening->dead_letters, welcome->mutable_dead_letters());
  welcome->set_lease_ms(options_.lease_ms);
  welcome->set_reconnect_at_once(options_.reconnect_at_once);
  welcomed_ = true;
  return absl::OkStatus();
}

absl::Status Receiver::OnBatch(wire::Batch& batch, Pending& pending, Reply& reply) {
  ++figures_.batches;
  ASSIGN_OR_RETURN(const EpochId epoch, ParseEpoch(batch.epoch(), "batch.epoch"));
  Stretch* stretch = Find(epoch);
  if (stretch == nullptr) return Malformed("batch.epoch", "not among the epochs of Hello");
  if (batch.items().empty()) return Malformed("batch.items", "empty");

  std::vector<Item> items;
  items.reserve(batch.items_size());
  size_t bytes = 0;
  for (wire::Item& item : *batch.mutable_items()) {
    ASSIGN_OR_RETURN(Item taken, TakeItem(item, epoch, lease_.queue));
    if (!items.empty() && taken.first != items.back().last + 1) {
      return Malformed("batch.items", StrCat(taken.first, " follows ", items.back().last));
    }
    bytes += taken.Cost();
    items.push_back(std::move(taken));
  }

  if (restart_) {
    const Item& head = items.front();
    if (restart_->first != epoch || head.first > restart_->second || head.last < restart_->second) {
      ++figures_.ignored_batches;
      return absl::OkStatus();
    }
    restart_.reset();
  }

  const bool continues = pending.stretch == stretch && items.front().first == pending.items.back().last + 1 &&
                         pending.items.size() + items.size() <= options_.apply_max_items &&
                         pending.bytes + bytes <= options_.apply_max_bytes;
  if (continues) {
    pending.items.insert(pending.items.end(), std::make_move_iterator(items.begin()),
                         std::make_move_iterator(items.end()));
    pending.bytes += bytes;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(ApplyPending(pending, reply));

  // R10: the older epoch comes to its end first.
  for (const Stretch& older : stretches_) {
    if (older.epoch == epoch) break;
    if (older.cursor < older.last) {
      Refuse(older, "an older epoch is not complete", reply);
      return absl::OkStatus();
    }
  }
  if (PlanBatch(stretch->cursor, items).expected != 0) {
    Refuse(*stretch, StrCat("begins at ", items.front().first), reply);
    return absl::OkStatus();
  }
  pending = Pending{.stretch = stretch, .items = std::move(items), .bytes = bytes};
  return absl::OkStatus();
}

absl::Status Receiver::OnRenew(Reply& reply) {
  const absl::Status status = store_.Renew(lease_);
  if (status.ok()) return absl::OkStatus();
  if (status.code() == absl::StatusCode::kFailedPrecondition) {
    return absl::AbortedError(absl::StrCat("lease lost: ", status.message()));
  }
  return Retry(reply, absl::UnavailableError(absl::StrCat("store: ", status.message())), options_.store_retry_ms);
}

absl::Status Receiver::ApplyPending(Pending& pending, Reply& reply) {
  if (pending.items.empty()) return absl::OkStatus();
  const Pending batch = std::exchange(pending, Pending{});
  const absl::StatusOr<Applied> applied = store_.Apply(lease_, batch.stretch->epoch, batch.items);
  if (!applied.ok()) {
    const absl::Status& status = applied.status();
    switch (status.code()) {
      case absl::StatusCode::kFailedPrecondition:
        return absl::AbortedError(absl::StrCat("lease lost: ", status.message()));
      case absl::StatusCode::kOutOfRange:
        // The store's cursor is not the one of Welcome: it was restored under us. Welcome tells the new one.
        return Retry(reply, absl::AbortedError(absl::StrCat("cursor moved: ", status.message())), 1'000);
      default:
        return Retry(reply, absl::UnavailableError(absl::StrCat("store: ", status.message())),
                     options_.store_retry_ms);
    }
  }
  const uint64_t before = batch.stretch->cursor;
  batch.stretch->cursor = applied->cursor;
  ++figures_.applied_batches;
  for (const Item& item : batch.items) {
    ++(item.last <= before ? figures_.skipped : figures_.items);
  }
  figures_.dead_letters += applied->dead_letters.size();
  ++figures_.acks;
  wire::Ack* ack = reply.frames.emplace_back().mutable_ack();
  ack->set_epoch(std::string(batch.stretch->epoch.View()));
  ack->set_cursor(applied->cursor);
  FillCredit(ack->mutable_credit());
  FillDeadLetters(applied->dead_letters, ack->mutable_dead_letters());
  return absl::OkStatus();
}

absl::Status Receiver::Retry(Reply& reply, absl::Status status, int64_t after_ms) {
  wire::Goodbye* goodbye = reply.frames.emplace_back().mutable_goodbye();
  goodbye->set_reason(std::string(MessageOf(status)));
  goodbye->set_retry_after_ms(after_ms);
  return status;
}

void Receiver::Refuse(const Stretch& stretch, std::string reason, Reply& reply) {
  ++figures_.refusals;
  wire::Refusal* refusal = reply.frames.emplace_back().mutable_refusal();
  refusal->set_epoch(std::string(stretch.epoch.View()));
  refusal->set_restart_at(stretch.cursor + 1);
  refusal->set_reason(std::move(reason));
  restart_ = {stretch.epoch, stretch.cursor + 1};
}

Receiver::Stretch* Receiver::Find(const EpochId& epoch) {
  // From the newest: batches are of the running epoch nearly always.
  for (auto it = stretches_.rbegin(); it != stretches_.rend(); ++it) {
    if (it->epoch == epoch) return &*it;
  }
  return nullptr;
}

void Receiver::FillCredit(wire::Credit* credit) const {
  credit->set_items(credit_items_);
  credit->set_bytes(credit_bytes_);
}

}  // namespace sluice::ingest
