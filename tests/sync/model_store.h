// The cloud's store as a model: cursors, effects and leases that can be snapshotted, restored and made to fail.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "cloud/ingest/cursor_store.h"
#include "cloud/ingest/lease_policy.h"

namespace sluice::sync {

struct Effect {
  std::string gateway;
  Queue queue = Queue::kShopBulk;
  std::string shop;
  EpochId epoch;
  uint64_t number = 0;
  std::string payload;
};

struct DeclaredLoss {
  EpochId epoch;
  uint64_t first = 0;   // only what lay above the cursor
  uint64_t last = 0;
  GapReason reason = GapReason::kNone;
};

// Thread-safe.
class ModelStore final : public ingest::CursorStore {
 public:
  explicit ModelStore(Random& random);

  absl::StatusOr<ingest::Opening> Open(const std::string& gateway, Queue queue, const std::string& hardware_id,
                                       const std::vector<Epoch>& epochs) override;
  absl::StatusOr<ingest::Applied> Apply(const ingest::Lease& lease, const EpochId& epoch,
                                        const std::vector<Item>& items) override;
  absl::Status Renew(const ingest::Lease& lease) override;
  void Release(const ingest::Lease& lease) override;

  // Payloads for which this is true are dead letters.
  void SetPoison(std::function<bool(const std::string&)> poison);
  // The next calls of Apply and Open fail with Unavailable.
  void FailNext(int calls);
  // Leases run out after this; without it they last.
  void UseClock(const Clock& clock, int64_t lease_ms);
  // The lease times out: other hardware may take it.
  void ExpireLeases();

  void TakeSnapshot();
  void RestoreSnapshot();   // with a new generation

  std::vector<Effect> effects() const;
  std::vector<DeclaredLoss> losses() const;
  bool leased(const std::string& gateway, Queue queue) const;
  uint64_t applies() const;
  uint64_t repeats() const;   // records whose event had had its effect under another key
  // Where the epoch stands now, whoever did it.
  void SetCursor(const std::string& gateway, Queue queue, const EpochId& epoch, uint64_t number, EventId id);

 private:
  using Key = std::tuple<std::string, Queue, EpochId>;
  struct Row {
    uint64_t number = 0;
    EventId id;
    std::string shop;
  };
  struct LeaseRow {
    Id128 token;   // zero: released
    int64_t expires_us = 0;
    ingest::LeaseHolder holder;
  };
  struct Content {
    std::map<Key, Row> cursors;
    std::map<std::pair<std::string, Queue>, LeaseRow> leases;
    std::vector<Effect> effects;
    std::set<std::pair<std::string, EventId>> effect_ids;   // with the shop: one effect for each (R2)
    std::vector<DeclaredLoss> losses;
    std::map<Key, std::vector<ingest::DeadLetter>> dead_letters;
    Id128 generation;
  };

  bool TakeFailure();
  bool Holds(const ingest::Lease& lease) const;
  bool Renewed(const ingest::Lease& lease);
  int64_t ExpiryUs() const;

  mutable std::mutex mutex_;
  Random& random_;
  Content content_;
  Content snapshot_;
  std::function<bool(const std::string&)> poison_;
  const Clock* clock_ = nullptr;
  int64_t lease_us_ = 0;
  int failures_ = 0;
  uint64_t applies_ = 0;
  uint64_t repeats_ = 0;
};

}  // namespace sluice::sync
