#include "cloud/ingest/plan.h"

namespace sluice::ingest {

Verdict Decide(uint64_t cursor, uint64_t first, uint64_t last) {
  if (last <= cursor) return Verdict::kSkip;
  return first - 1 <= cursor ? Verdict::kAccept : Verdict::kStop;
}

Plan PlanBatch(uint64_t cursor, std::span<const Item> items) {
  Plan plan;
  plan.cursor = cursor;
  for (const Item& item : items) {
    switch (Decide(plan.cursor, item.first, item.last)) {
      case Verdict::kSkip:
        if (plan.accept > 0) {  // the batch does not ascend
          plan.expected = plan.cursor + 1;
          return plan;
        }
        ++plan.skip;
        break;
      case Verdict::kAccept:
        ++plan.accept;
        plan.cursor = item.last;
        break;
      case Verdict::kStop:
        plan.expected = plan.cursor + 1;
        return plan;
    }
  }
  return plan;
}

}  // namespace sluice::ingest
