// What a person should see of the streams' doings, and who is told.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/item.h"

namespace sluice::sync {

enum class Alarm {
  kAckBeyondSent,    // the cloud has, of the running epoch, what was never sent (case 36). Nothing was deleted
  kCloned,           // another event, or a gap, stands at the cloud's cursor: a second box sends under our keys (R9)
  kLeaseHeld,        // another box uses this gateway's certificate and holds the lease: everything waits here (case 9)
  kForeignEpoch,     // the store holds epochs of another gateway; they are not sent (R14)
  kShopChanged,      // the certificate names another shop than the running epoch, and no new one could be begun yet (case 25)
  kOutboxHole,       // items that are neither held nor declared lost
};
std::string_view AlarmName(Alarm alarm);

// Called on the thread that drives the sender. Must not call it back.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnAlarm(Queue queue, Alarm alarm, const std::string& text) = 0;
  virtual void OnDeadLetter(Queue queue, const EpochId& epoch, uint64_t number, const std::string& reason) = 0;
  // The certificate names another shop, and an epoch of it has begun: what is accepted from now on is that shop's.
  virtual void OnShopChanged(const std::string& /*shop*/) {}
};

}  // namespace sluice::sync
