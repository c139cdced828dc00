#include "sync/alarm.h"

namespace sluice::sync {

std::string_view AlarmName(Alarm alarm) {
  switch (alarm) {
    case Alarm::kAckBeyondSent: return "ack_beyond_sent";
    case Alarm::kCloned: return "cloned";
    case Alarm::kLeaseHeld: return "lease_held";
    case Alarm::kForeignEpoch: return "foreign_epoch";
    case Alarm::kShopChanged: return "shop_changed";
    case Alarm::kOutboxHole: return "outbox_hole";
  }
  return "unknown";
}

}  // namespace sluice::sync
