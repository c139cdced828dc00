// One line and a profile → perhaps an event. Pure: the clock is handed in, the little memory is its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "devices/event.h"
#include "devices/json_event.h"
#include "devices/lines/profile.h"

namespace sluice::lines {

// Not for several threads.
class LineDecoder {
 public:
  // `device`: the name of the device on the port; empty only for LineFormat::kEvents.
  LineDecoder(Profile profile, std::string device);

  // Nothing for a line that is fine and says nothing new: unstable, unchanged, repeated, ignored. InvalidArgument for a
  // line that the profile does not fit. `facts` for the Rejection: the number only where it can be believed.
  absl::StatusOr<std::optional<devices::DecodedEvent>> Decode(std::string_view line, int64_t now_ms,
                                                              devices::JsonEventFacts* facts = nullptr);
  // What is known before a line is read.
  devices::JsonEventFacts FactsOfAnyLine() const;
  // Forgets what was said last: the next line is new. After the device was away.
  void Forget();

  const Profile& profile() const { return profile_; }
  const std::string& device() const { return device_; }

 private:
  class Groups;

  absl::Status AddBits(Groups& groups) const;
  absl::StatusOr<devices::DecodedEvent> Build(const Groups& groups) const;
  absl::Status AddField(const FieldRule& rule, const Groups& groups, devices::EventFields& fields) const;
  bool SaysNothingNew(const event::v1::DeviceEvent& event, int64_t now_ms);

  const Profile profile_;
  const std::string device_;
  std::optional<event::v1::DeviceEvent> last_;   // the last event, without numbers and times
  int64_t last_seen_ms_ = 0;                     // when it or its repetition came
};

}  // namespace sluice::lines
