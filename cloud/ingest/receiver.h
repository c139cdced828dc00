// The cloud's end of one stream (sync/PROTOCOL.md): frames in, frames out, the store behind. Knows no gRPC, so that a
// simulation can run it through any schedule.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/item.h"
#include "cloud/ingest/cursor_store.h"
#include "sluice/sync/v1/sync.pb.h"

namespace sluice::ingest {

struct ReceiverOptions {
  std::vector<Queue> queues;               // served here
  uint64_t credit_items = 16'384;          // sent and not yet acknowledged
  uint64_t credit_bytes = 6u << 20;
  int64_t lease_ms = 300'000;
  bool reconnect_at_once = true;           // a gateway that lost only its own link may try within 2 s
  int64_t store_retry_ms = 5'000;          // hint when the store fails
  int64_t lease_retry_ms = 60'000;         // hint when other hardware holds the lease
  size_t apply_max_items = 4'096;          // merged into one transaction
  size_t apply_max_bytes = 2u << 20;
  size_t max_epochs = 10'000;              // in a Hello
};

// Who the certificate says it is; never from a frame.
struct Peer {
  std::string gateway;
  std::string shop;
};

// What the service does next: writes `frames` in order and then, if `close` is set, ends the stream with it.
struct Reply {
  std::vector<sync::v1::ServerFrame> frames;
  std::optional<absl::Status> close;
};

struct ReceiverFigures {
  uint64_t frames = 0, batches = 0, items = 0, skipped = 0, applied_batches = 0, refusals = 0, ignored_batches = 0,
           dead_letters = 0, acks = 0;
};

// One per stream. Not thread-safe: calls for one stream come one after the other, from any thread. OnFrames blocks as
// long as the store does. `store` and `clock` outlive it. Nothing is acknowledged before the store's Apply returned.
class Receiver {
 public:
  Receiver(ReceiverOptions options, Peer peer, CursorStore& store, const Clock& clock);

  // All frames that have arrived, in order. Consecutive batches of one epoch that continue each other share one Apply and
  // one Ack. After a reply with `close` every further call returns nothing.
  Reply OnFrames(std::vector<sync::v1::ClientFrame> frames);

  // The stream is over. `clean`: the gateway half-closed it, so the lease is released; otherwise the lease runs out or is
  // taken over by the same hardware.
  void OnEnd(bool clean);

  // From the next Welcome or Ack on.
  void SetCredit(uint64_t items, uint64_t bytes);

  bool welcomed() const { return welcomed_; }
  Queue queue() const { return lease_.queue; }            // after welcomed
  const Lease& lease() const { return lease_; }           // after welcomed
  const std::string& software() const { return software_; }
  const std::string& hardware_id() const { return hardware_id_; }
  const ReceiverFigures& figures() const { return figures_; }

 private:
  // One epoch of Hello with the cursor as this stream knows it.
  struct Stretch {
    EpochId epoch;
    uint64_t first = 0;   // held; last + 1: nothing
    uint64_t last = 0;
    uint64_t cursor = 0;
  };

  struct Pending {
    Stretch* stretch = nullptr;
    std::vector<Item> items;
    size_t bytes = 0;
  };

  absl::Status OnHello(const sync::v1::Hello& hello, Reply& reply);
  absl::Status OnBatch(sync::v1::Batch& batch, Pending& pending, Reply& reply);
  absl::Status OnRenew(Reply& reply);
  absl::Status ApplyPending(Pending& pending, Reply& reply);
  absl::Status Retry(Reply& reply, absl::Status status, int64_t after_ms);
  void Refuse(const Stretch& stretch, std::string reason, Reply& reply);
  Stretch* Find(const EpochId& epoch);
  void FillCredit(sync::v1::Credit* credit) const;

  const ReceiverOptions options_;
  const Peer peer_;
  CursorStore& store_;
  const Clock& clock_;
  uint64_t credit_items_;
  uint64_t credit_bytes_;

  bool welcomed_ = false;
  bool closed_ = false;
  Lease lease_;
  std::string software_;
  std::string hardware_id_;
  std::vector<Stretch> stretches_;   // in start order, as in Hello
  // Set by a refusal: everything is ignored until a batch of this epoch begins at this number.
  std::optional<std::pair<EpochId, uint64_t>> restart_;
  ReceiverFigures figures_;
};

}  // namespace sluice::ingest
