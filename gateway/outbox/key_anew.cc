// A new epoch while the daemon runs, and fresh keys for what another box's keys stand in the way of (delivery rule R9).
#include <algorithm>

#include "base/fail_point.h"
#include "base/random.h"
#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {

absl::Status OutboxImpl::BeginEpoch(const std::string& shop) { return journal_.BeginEpoch(shop); }

void OutboxImpl::OnEpochBegun(const Epoch& epoch) {
  Lock lock(mu_);
  for (Queue queue : kAllQueues) {
    queues_[QueueIndex(queue)].streams.push_back(std::make_unique<Stream>(epoch, queue));
  }
}

absl::Status OutboxImpl::KeyAnew(Queue queue, const EpochId& epoch, uint64_t trusted) {
  return OnWriter([&, this] { return KeyAnewNow(queue, epoch, trusted); });
}

absl::Status OutboxImpl::KeyAnewNow(Queue queue, const EpochId& epoch, uint64_t trusted) {
  RETURN_IF_ERROR(AddMissingStreams());
  std::vector<Cut> cuts;
  bool running;
  uint64_t high;
  {
    Lock lock(mu_);
    const SentStream found = FindSent(queue, epoch);
    if (found.stream == nullptr) return absl::NotFoundError("this epoch is not held any more");
    Stream& stream = *found.stream;
    running = &stream == &Running(queue) && found.part.last == UINT64_MAX;
    high = std::min(stream.acked_high, stream.last);
    const uint64_t from = std::min(found.part.ToStored(trusted), stream.acked_to) + 1;
    if (from > found.part.last) return absl::OkStatus();  // nothing of it is pending
    cuts.push_back({&stream, from, stream.sent_as, from <= stream.acked_to});
    // A box that runs under our epoch does so on every queue.
    for (Queue other : kAllQueues) {
      if (running && other != queue) cuts.push_back({&Running(other), Running(other).acked_to + 1, Running(other).sent_as});
    }
  }
  if (cuts.front().rewound) {
    Cut& cut = cuts.front();
    const uint64_t journalled = journal_.Holds(cut.stream->epoch.id, queue).first;
    {
      Lock lock(mu_);
      // Of what was acknowledged and is not held any more there is nothing to key.
      uint64_t held = FirstHeld(*cut.stream);
      if (held == 0 || (journalled != 0 && journalled < held)) held = journalled;
      const uint64_t pending = cut.stream->acked_to + 1;
      cut.from = held == 0 ? pending : std::clamp(held, cut.from, pending);
      cut.rewound = cut.from < pending;
    }
    if (cut.rewound) RETURN_IF_ERROR(FillHoles(*cut.stream, cut.from, high, GapReason::kBeyondReplayWindow));
  }
  for (Cut& cut : cuts) {
    EpochId fresh;
    SystemRandom().Fill(fresh.bytes);
    // Not into a part before it: what is acknowledged there stays so.
    const auto part = cut.stream == cuts.front().stream ? cut.after.Find(epoch) : cut.after.parts().back();
    cut.from = std::max(cut.from, part->first);
    cut.after.Cut(cut.from, fresh);
  }
  RETURN_IF_ERROR(SaveCuts(cuts));
  FAIL_POINT("outbox.keyed_anew");
  {
    Lock lock(mu_);
    for (Cut& cut : cuts) {
      Stream& stream = *cut.stream;
      stream.sent_as = std::move(cut.after);
      if (cut.rewound) {
        stream.stored_to = std::max(stream.stored_to, high);
        stream.acked_to = cut.from - 1;
      }
      stream.changed = true;
      counters_["keyed_anew"] += static_cast<int64_t>(stream.last - std::min(stream.last, cut.from - 1));
    }
    snapshot_needed_ = true;  // writes the positions soon
  }
  if (!running) return absl::OkStatus();
  // What is pending is out of the way already. A fresh epoch in the journal gives what comes from now on keys, and personal
  // events a seal, that the other box does not use; where there is no segment for it they go on behind what is pending.
  if (absl::Status begun = journal_.BeginEpoch(journal_.epoch().shop); !begun.ok()) {
    Lock lock(mu_);
    ++counters_["epochs_not_begun"];
  }
  return absl::OkStatus();
}

absl::Status OutboxImpl::SaveCuts(const std::vector<Cut>& cuts) {
  RETURN_IF_ERROR(store_->Begin());
  absl::Status status;
  for (const Cut& cut : cuts) {
    uint64_t last, stored_to, acked_to;
    {
      Lock lock(mu_);
      last = cut.stream->last;
      stored_to = cut.stream->stored_to;
      acked_to = cut.rewound ? cut.from - 1 : cut.stream->acked_to;
    }
    if (status.ok()) status = store_->PutSentAs(*cut.stream, cut.after);
    if (status.ok()) status = store_->SavePositions(cut.stream->id, last, stored_to, acked_to);
  }
  if (status.ok()) status = store_->Commit();
  if (!status.ok()) store_->Rollback();
  return status;
}

}  // namespace sluice::outbox
