// One simulated device: makes events, keeps them until the receipt, sends them again when it must.
//
// On a broker it begins each connection with one event alone, its lowest open one, and goes on when that reached somebody.
// Where the gateway has no session, the broker says so (MQTT 5: "no matching subscribers") and drops what it gets: a device
// that sent on would lose its low numbers and see the higher ones taken.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "devices/sim/family.h"
#include "devices/sim/histogram.h"
#include "devices/sim/ledger.h"
#include "devices/sim/link.h"
#include "devices/sim/open_events.h"
#include "devices/sim/state.h"

namespace sluice::sim {

// Totals of the process.
struct Counters {
  uint64_t produced = 0;
  uint64_t sent = 0;            // publishes and lines, resending included
  uint64_t resent = 0;
  uint64_t dup = 0;             // … with DUP, in a resumed session
  uint64_t puback = 0;          // once per sending
  uint64_t unheard = 0;         // of these: nobody was subscribed
  uint64_t server_refused = 0;  // PUBACK with a failure code
  uint64_t receipted = 0;
  uint64_t refused = 0;         // by a receipt, or for good by what is trusted in its place
  uint64_t receipts = 0;        // messages
  uint64_t bad_receipts = 0;
  uint64_t disconnects = 0;
  uint64_t bytes = 0;           // of bodies sent
  Histogram puback_us;          // from the newest sending to its PUBACK
  int64_t first_sent_us = 0;    // monotonic
  int64_t last_answer_us = 0;   // monotonic: the last receipt that closed something (or PUBACK, without receipts)
  std::string last_failure;
};

struct DeviceOptions {
  uint64_t boot = 0;
  size_t window = 512;           // open events at most
  size_t body_bytes = 200;       // padded with x_pad to about this
  int64_t resend_after_us = 5'000'000;
  bool receipts = true;          // false: an event is done with its PUBACK
  bool serial = false;           // the body names device and kind
  bool hasty = false;            // sends on though the broker says that nobody is there to hear it
};

class Device;

// What all devices of the process share.
struct Shared {
  Ledger ledger;
  State state;
  Counters counters;
  SystemClock clock;
  std::vector<Device*> ready;  // have something to send: with 2,000 devices nobody may ask each of them each time
};

// Single-threaded.
class Device final : public LinkListener {
 public:
  Device(std::string name, std::unique_ptr<Family> family, const DeviceOptions& options, Shared& shared);

  const std::string& name() const { return name_; }
  const Family& family() const { return *family_; }
  const OpenEvents& open() const { return open_; }
  bool up() const { return up_; }
  void set_link(std::unique_ptr<Link> link) { link_ = std::move(link); }
  Link& link() { return *link_; }

  // An event of an earlier run, before any Produce; ascending.
  void Restore(OpenEvent event) { open_.Add(std::move(event)); }
  bool HasRoom() const { return open_.size() < options_.window; }
  void Produce(Wish wish);
  // Sends what is due, at most `limit`; returns how many. What Produce kept in the state file must be flushed before. Called
  // for what stands in Shared::ready, once for each time it is taken off.
  size_t Pump(size_t limit);
  // Goes back when no receipt came for too long. Who trusts PUBACK sends again in a new connection only, as MQTT has it.
  void CheckTimeout(int64_t now_us);

  void OnUp() override;
  void OnDown(std::string_view reason) override;
  void OnPuback(uint64_t boot, uint64_t seq) override;
  void OnUnheard(uint64_t boot, uint64_t seq) override;
  void OnServerRefusal(uint64_t boot, uint64_t seq, uint8_t reason_code, std::string_view text) override;
  void OnDup() override { ++shared_.counters.dup; }
  void OnReceipt(const absl::StatusOr<Receipt>& receipt) override;

 private:
  // Does what this connection leads to listen?
  enum class Audience : uint8_t { kUnknown, kAsked, kThere };

  void Refuse(const OpenEvent& event, std::string_view reason);
  void Done(uint64_t boot, uint64_t seq);
  void Answered();
  void Progress();
  void MarkReady();

  const std::string name_;
  const std::unique_ptr<Family> family_;
  const DeviceOptions& options_;
  Shared& shared_;
  std::unique_ptr<Link> link_;
  OpenEvents open_;
  uint64_t next_seq_ = 1;
  bool up_ = false;
  bool say_online_ = false;
  bool ready_ = false;            // stands in Shared::ready
  int64_t waiting_since_us_ = 0;  // for the receipt that is due next
  Audience audience_ = Audience::kThere;
  int64_t ask_at_us_ = 0;         // not before
  int64_t patience_us_ = 0;       // doubles with each going back that brings nothing, up to a minute
  std::string members_;
};

}  // namespace sluice::sim
