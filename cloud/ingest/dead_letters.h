// Table dead_letters: records that can never be accepted, as operators read them. What they do with them is
// SqlCursorStore's Requeue and Drop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/item.h"
#include "cloud/store/store.h"

namespace sluice::ingest {

// What the record came as. No other record ever has it, also after a restore, so it is the letter's id.
struct DeadLetterKey {
  std::string gateway;
  Queue queue = Queue::kShopBulk;
  EpochId epoch;
  uint64_t number = 0;

  // "<gateway>/<queue>/<epoch>/<number>": names of gateways have no slash.
  std::string ToId() const;
  static std::optional<DeadLetterKey> Parse(std::string_view id);
};

struct BuriedRecord {
  DeadLetterKey key;
  std::string shop;      // of the epoch
  std::string reason;    // of the last refusal
  std::string bytes;     // as they came
  int64_t at_ms = 0;     // of the first refusal, by the wall clock
};

struct DeadLetterQuery {
  std::string gateway;   // empty: all
  std::string queue;     // its name; empty: all
  size_t limit = 100;
  // A page ends early where its records are larger than this together; one it has in any case.
  size_t max_bytes = 4u << 20;
  std::string after;     // `next` of the page before; empty: from the oldest on
};

struct DeadLetterPage {
  std::vector<BuriedRecord> letters;   // oldest first
  std::string next;                    // empty: there are no more
};

// Thread-safe. InvalidArgument: `after` is no `next`.
absl::StatusOr<DeadLetterPage> ListDeadLetters(store::Store& store, const DeadLetterQuery& query);
// NotFound: no such dead letter, or none any more.
absl::StatusOr<BuriedRecord> FindDeadLetter(store::Transaction& transaction, const DeadLetterKey& key);

struct Requeued {
  enum class Outcome {
    kApplied,   // has its effect, or had it before
    kKept,      // waits for a version that knows its kind
    kRefused,   // still a dead letter, with this reason
  };
  Outcome outcome = Outcome::kApplied;
  std::string reason;
};

}  // namespace sluice::ingest
