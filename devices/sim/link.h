// The wire between one simulated device and the gateway: MQTT to a broker or to the gateway's own listener, or a serial line
// on a pty.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "devices/sim/open_events.h"
#include "devices/sim/receipt.h"

namespace sluice::sim {

// What a link tells its device; called from within the link's methods, on the loop's thread.
class LinkListener {
 public:
  virtual ~LinkListener() = default;
  virtual void OnUp() = 0;  // may send; what was sent before may be lost
  virtual void OnDown(std::string_view reason) = 0;
  virtual void OnPuback(uint64_t boot, uint64_t seq) = 0;
  // The broker took the newest sending of it and had nobody to give it to.
  virtual void OnUnheard(uint64_t boot, uint64_t seq) = 0;
  // A PUBACK that says no. "Quota exceeded" (0x97) means later, everything else for good.
  virtual void OnServerRefusal(uint64_t boot, uint64_t seq, uint8_t reason_code, std::string_view text) = 0;
  // A publish goes out with DUP, under the id that it had in the connection before.
  virtual void OnDup() = 0;
  virtual void OnReceipt(const absl::StatusOr<Receipt>& receipt) = 0;
};

// Single-threaded: everything on the loop's thread.
class Link {
 public:
  virtual ~Link() = default;
  // True: Send would go out at once.
  virtual bool CanSend() const = 0;
  // False: not now; the same event is offered again later.
  virtual bool Send(const OpenEvent& event) = 0;
  // After a burst of Send: what was put together goes out.
  virtual void EndBurst() {}
  // The poller saw something.
  virtual void OnReady(bool readable, bool writable) = 0;
  // At least every 100 ms: keep-alive, reconnecting. `now_us` is monotonic.
  virtual void Tick(int64_t now_us) = 0;
  // The device is switched off.
  virtual void Close() = 0;
};

}  // namespace sluice::sim
