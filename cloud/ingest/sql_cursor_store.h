// The CursorStore over the service's database: a batch takes effect in one transaction with its cursor (delivery rule R8).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "cloud/eventbus/event_bus.h"
#include "cloud/ingest/apply.h"
#include "cloud/ingest/cursor_store.h"
#include "cloud/ingest/dead_letters.h"
#include "cloud/ingest/lease_time.h"
#include "cloud/store/store.h"

namespace sluice::ingest {

store::Component Schema();

// For a store that is no service's yet: it comes from a backup, and whoever opens it shows gateways this generation.
absl::StatusOr<Id128> SetNewGeneration(store::Store& store, Random& random);

struct CursorStoreOptions {
  int64_t lease_ms = 300'000;
  // Something a person should see; from the applying thread.
  std::function<void(const std::string&)> alarm = [](const std::string&) {};
};

// Since the start.
struct IngestFigures {
  std::atomic<uint64_t> applied{0};        // records that took effect, repeats by event_id included
  std::atomic<uint64_t> skipped{0};        // items at or below the cursor
  std::atomic<uint64_t> gaps{0};
  std::atomic<uint64_t> kept{0};           // of an unknown kind
  std::atomic<uint64_t> dead_letters{0};
  std::atomic<uint64_t> conflicts{0};      // dead letters of one event_id with two contents
  std::atomic<uint64_t> foreign{0};        // dead letters that claimed another gateway or shop
  std::atomic<uint64_t> transactions{0};
  std::atomic<uint64_t> lease_refusals{0}; // other hardware wanted a lease that is held
  std::atomic<uint64_t> hardware_changes{0};
};

// Thread-safe. `store`, `applier`, `events`, `clock` and `random` outlive it; the applier is used by one thread at a time.
class SqlCursorStore final : public CursorStore {
 public:
  // Applies the kept records whose kind has become known, and writes the generation of a new store.
  static absl::StatusOr<std::unique_ptr<SqlCursorStore>> Open(CursorStoreOptions options, store::Store& store,
                                                              Applier& applier, eventbus::Writer& events,
                                                              const Clock& clock, Random& random);

  // The shop that the stream's certificate names is confirmed for the gateway from now on; records of an epoch whose shop
  // no certificate of the gateway ever named become dead letters shop_unknown (R14).
  absl::StatusOr<Opening> OpenFor(const std::string& certified_shop, const std::string& gateway, Queue queue,
                                  const std::string& hardware_id, const std::vector<Epoch>& epochs);

  // As OpenFor, without confirming a shop.
  absl::StatusOr<Opening> Open(const std::string& gateway, Queue queue, const std::string& hardware_id,
                               const std::vector<Epoch>& epochs) override;
  absl::StatusOr<Applied> Apply(const Lease& lease, const EpochId& epoch, const std::vector<Item>& items) override;
  absl::Status Renew(const Lease& lease) override;
  void Release(const Lease& lease) override;

  // Operators' business, under who they are (dead_letters.h has the reading half). A record is applied again as what it
  // came as, in one transaction with its removal: at most once by its event_id, and late. NotFound: no such dead letter,
  // or none any more; other errors: the store failed, and nothing has changed.
  absl::StatusOr<Requeued> Requeue(const DeadLetterKey& key, std::string_view who);
  // `why` goes into the audit.
  absl::Status Drop(const DeadLetterKey& key, std::string_view who, std::string_view why);

  // The database came back from a backup: a new generation, which gateways see in Welcome.
  absl::Status NewGeneration();

  const IngestFigures& figures() const { return figures_; }

 private:
  // How one attempt at a transaction went.
  struct Attempt {
    absl::Status status;
    size_t failed = SIZE_MAX;     // index of the record at which the applier's store failed
    uint64_t cursor = 0;
    uint64_t applied = 0, skipped = 0, gaps = 0, kept = 0, conflicts = 0, foreign = 0;
    std::vector<DeadLetter> dead_letters;
  };

  SqlCursorStore(CursorStoreOptions options, store::Store& store, Applier& applier, eventbus::Writer& events,
                 const Clock& clock, Random& random);
  static Id128 NewId(Random& random);
  // The statement may be at fault rather than disk, lock or connection.
  static bool MayBePoison(const absl::Status& status);
  absl::Status ApplyKept();
  absl::Status ReadGeneration();
  // `verdict`: if set, the first accepted record becomes a dead letter with this reason instead of being applied.
  Attempt TryApply(const Lease& lease, const EpochId& epoch, std::span<const Item> items, const std::string* verdict);
  absl::Status ApplyItems(store::Transaction& transaction, const Lease& lease, const EpochId& epoch,
                          std::span<const Item> items, const std::string* verdict, Attempt& attempt);
  absl::Status ApplyRecord(store::Transaction& transaction, const Origin& origin, const Item& item, bool shop_confirmed,
                           EventId& id, Attempt& attempt);
  // The reason why it never can; empty: it has its effect, or is kept for a version that knows its kind.
  absl::StatusOr<std::string> TakeEffect(store::Transaction& transaction, const Origin& origin, const Item& item,
                                         bool shop_confirmed, EventId& id, Attempt& attempt);
  absl::Status RequeueOne(store::Transaction& transaction, const DeadLetterKey& key, std::string_view who,
                          Attempt& attempt, Requeued& requeued);
  absl::Status Bury(store::Transaction& transaction, const Origin& origin, const Item& item, std::string reason,
                    Attempt& attempt);
  absl::Status CheckLease(store::Transaction& transaction, const Lease& lease);
  int64_t LeaseNowMs() const { return clock_.MonotonicUs() / 1'000; }
  // The epoch's origin, from the table or, for its first item, from what Hello said of it.
  absl::StatusOr<Origin> FindOrigin(store::Transaction& transaction, const Lease& lease, const EpochId& epoch);
  absl::StatusOr<bool> IsConfirmed(store::Transaction& transaction, const Origin& origin);
  void Count(const Attempt& attempt);
  bool Probe();

  const CursorStoreOptions options_;
  store::Store& store_;
  Applier& applier_;
  eventbus::Writer& events_;
  const Clock& clock_;
  Random& random_;
  const LeaseTime lease_time_;
  IngestFigures figures_;

  // Guarded by the store's Write.
  Id128 generation_;
  std::map<std::pair<std::string, Queue>, std::vector<Epoch>> claimed_;   // epochs of the last Hello

  std::mutex applier_mutex_;   // taken before the store's
  // Guarded by applier_mutex_, as the applier; keeps its memory. No arena: a TSan build and Debian's protobuf disagree about
  // the size of a map field, and an arena trips over it.
  event::v1::DeviceEvent event_;
};

}  // namespace sluice::ingest
