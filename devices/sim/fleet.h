// All devices of the process on one loop: who makes the next event, when, and when it is over.
#pragma once

#include <csignal>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "devices/sim/device.h"
#include "devices/sim/options.h"
#include "devices/sim/poller.h"

namespace sluice::sim {

class Fleet {
 public:
  explicit Fleet(const Options& options);

  // Opens ledger, state and ptys and makes the devices; MQTT connects within Run.
  absl::Status Prepare();
  // Until events, duration or a signal end it: *stop counts the signals (one: wait for receipts for 2 s, two: at once).
  absl::Status Run(const volatile std::sig_atomic_t& stop);

  const Counters& counters() const { return shared_.counters; }
  size_t devices() const { return devices_.size(); }
  uint64_t boot() const { return options_.device.boot; }
  size_t OpenCount() const;

 private:
  void Add(const std::string& stem, uint64_t number, std::unique_ptr<Family> family, bool serial);
  bool AllUp() const;
  size_t Produce(int64_t now_us);
  size_t ProduceFlatOut();
  size_t ProduceAtRate(int64_t now_us);
  Wish Draw();
  bool Enough() const;
  absl::Status Step(bool producing);
  void Tick(int64_t now_us);
  void Progress(int64_t now_us);
  absl::Status RewriteState();

  Options options_;
  DeviceOptions serial_options_;
  Shared shared_;
  Poller poller_;
  TlsContexts contexts_;
  SystemRandom random_;
  Dice dice_;
  std::vector<std::unique_ptr<Device>> devices_;
  int64_t started_us_ = 0;
  int64_t due_from_us_ = 0;     // the rate's zero
  uint64_t due_base_ = 0;       // what had been produced at it
  size_t turn_ = 0;
  int64_t tick_at_us_ = 0;
  int64_t flush_at_us_ = 0;
  int64_t progress_at_us_ = 0;
  uint64_t progress_receipted_ = 0;
};

}  // namespace sluice::sim
