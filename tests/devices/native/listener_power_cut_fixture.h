// The gateway's own MQTT server, intake and journal on a recorded disk, devices that trust PUBACK, and what was acknowledged to
// them at each moment of the disk's log.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "devices/driver.h"
#include "gateway/intake/intake.h"
#include "gateway/journal/journal.h"
#include "tests/fakes/mqtt_peer.h"
#include "tests/fakes/recorded_disk.h"

namespace sluice::native {

// What a device knows of one of its events. It only grows.
enum class Known : uint8_t {
  kUnsent,
  kSent,       // and perhaps never came
  kPromised,   // PUBACK, or PUBREC at QoS 2
  kComplete,   // PUBCOMP
};

struct Mark {
  size_t device = 0;
  uint64_t seq = 0;
  Known known = Known::kUnsent;
};

// All devices' events, numbered from 1 in one boot: [device][seq - 1].
struct Fleet {
  explicit Fleet(size_t devices) : events(devices) {}
  static std::string NameOf(size_t device);
  static uint8_t QosOf(uint64_t seq) { return seq % 5 == 0 ? 2 : 1; }

  void Keep(const Mark& mark);
  size_t Count(Known at_least) const;

  std::vector<std::vector<Known>> events;
};

// One disk from an image on, and the gateways that run on it one after the other.
class ShopOnDisk {
 public:
  struct Shape {
    uint64_t segment_bytes = 64 << 10;
    uint64_t new_events = 20;    // of each device in each life; about
    double sync_faults = 0;      // chance that a flush fails while devices are served
  };

  // `fleet`: what the devices know when it begins.
  ShopOnDisk(const Shape& shape, Fleet fleet, fakes::DiskImage image, uint64_t seed);

  // A start; the devices come with their sessions, bring again with DUP what was not acknowledged, and go on; an end. `kill`: as
  // kill -9, somewhere on the way. Otherwise everything is acknowledged in the end, and on the disk, once.
  void Live(bool kill);
  // Reads what is there and holds it against what the devices know.
  void Judge();

  const fakes::RecordedDisk& disk() const { return disk_; }
  // Nobody may be living.
  const std::vector<Mark>& marks() const { return marks_; }
  const Fleet& fleet_at_start() const { return fleet_at_start_; }
  uint64_t repeated() const { return repeated_; }

 private:
  void Open();
  void Close();
  void OpenJournal();
  void RunDevice(size_t device, uint64_t seed, uint64_t new_events);
  bool Greet(fakes::MqttPeer& peer, size_t device);
  bool Send(fakes::MqttPeer& peer, size_t device, uint64_t seq, bool again);
  bool AwaitOne(fakes::MqttPeer& peer, size_t device);
  // First on the disk's log, then in the fleet.
  void Note(const Mark& mark);
  std::vector<Known> EventsOf(size_t device);

  const Shape shape_;
  const Fleet fleet_at_start_;
  fakes::RecordedDisk disk_;
  SeededRandom dice_;
  SystemClock clock_;
  SystemRandom ids_;
  uint64_t ordinal_ = 0;

  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<intake::ClockWatch> watch_;
  std::unique_ptr<intake::Intake> intake_;
  std::unique_ptr<devices::Driver> source_;
  uint16_t port_ = 0;
  std::atomic<bool> killed_ = false, serving_ = false;
  std::atomic<uint64_t> flushes_ = 0, repeated_ = 0;
  const uint64_t flush_seed_;

  std::mutex mu_;   // guards what follows
  std::condition_variable changed_;
  std::vector<Mark> marks_;
  Fleet fleet_;
};

}  // namespace sluice::native
