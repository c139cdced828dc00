// From what the rooms count to the warnings that stand.
//
// Two kinds. A state (a full outbox, devices that wait) is warned of while it lasts. A happening (dropped telemetry, a damaged
// file) is over at once; its warning stands for a day after the last time, so that whoever looks in daily sees it, and the
// log has the rest.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/seal_key.h"
#include "devices/driver.h"
#include "gateway/health/warnings.h"
#include "gateway/intake/intake.h"
#include "gateway/journal/journal.h"
#include "gateway/outbox/outbox.h"
#include "sync/uplink.h"

namespace sluice::daemon {

// What the rooms tell of themselves at one moment.
struct Readings {
  intake::Figures intake;
  journal::Figures journal;
  std::map<std::string, int64_t> outbox;   // Outbox::counters
  std::vector<std::string> set_aside;      // StartReport::set_aside
  bool clock_unset = false;
  absl::Status clock_fix;                  // of the last Intake::PollClock
  bool seal_key_kept = true;               // SealKey::kept
  std::vector<sync::QueueStatus> links;
  // What each source says of itself, by its name.
  std::vector<std::pair<std::string, std::vector<devices::DriverStatus::Trouble>>> troubles;
};

// A warning is logged when it is raised and when it is over. Thread-safe.
class WarningRules {
 public:
  // By the monotonic clock.
  static constexpr int64_t kHappeningStandsMs = 24 * 3'600'000;

  // Both outlive it.
  WarningRules(health::Warnings& warnings, const Clock& clock) : warnings_(warnings), clock_(clock) {}

  // When the key was opened, before the rooms are.
  void OnSealKey(const SealKey& key);
  // Once, when the rooms are open.
  void OnStart(const journal::Found& found, const outbox::StartReport& report);
  // About once a second.
  void OnTick(Readings now);
  // Something that happened just now, from any room.
  void Happened(std::string_view code, std::string_view text);
  // Something that lasts, or is over.
  void While(bool wrong, std::string_view code, std::string_view text);

 private:
  // Happened, if the room's counter is above what it was at the last look.
  void WhenGrown(std::string_view code, int64_t count, std::string_view text);
  void JournalTails(const journal::Found& found);
  void JournalStates(const Readings& now);
  void OutboxStates(const Readings& now);
  void LinkStates(const Readings& now);
  void SourceStates(const Readings& now);
  void EndOldHappenings();

  health::Warnings& warnings_;
  const Clock& clock_;

  std::mutex mutex_;
  std::map<std::string, int64_t, std::less<>> happened_us_;   // guarded by mutex_: the last time of each code that stands

  // OnTick's own.
  std::map<std::string, int64_t, std::less<>> seen_;
  std::vector<std::string> set_aside_;
  std::map<std::string, std::string> source_troubles_;   // code to text, of those that stand
};

}  // namespace sluice::daemon
