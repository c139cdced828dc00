// What an event must be to enter the gateway. Pure: the same event is refused by the same words every time, so that a
// device which sends it again gets the same answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "sluice/event/v1/event.pb.h"

namespace sluice::intake {

// Sizes are bytes of UTF-8.
struct Limits {
  static constexpr size_t kDeviceId = 64;
  static constexpr size_t kMessageId = 128;
  static constexpr size_t kName = 128;        // product, transaction, correlation, command, alarm code
  static constexpr size_t kShortName = 64;    // selection, payment, user, names of measurements and attributes
  static constexpr size_t kUnit = 32;
  static constexpr size_t kText = 4096;
  static constexpr size_t kValue = 1024;      // text of a measurement or an attribute
  static constexpr int kMeasurements = 256;
  static constexpr int kAttributes = 64;
  static constexpr int64_t kQuantity = 1'000'000'000;
  static constexpr int64_t kMinorUnits = 1'000'000'000'000'000;
  static constexpr int64_t kLatestMs = 253'402'300'799'999;   // the end of the year 9999
  // The cloud's stores have signed 64-bit columns.
  static constexpr uint64_t kNumber = INT64_MAX;
};

// 1–64 of A–Z a–z 0–9 . _ -, not beginning with a dot (ARCHITECTURE.md, native MQTT).
bool IsDeviceId(std::string_view id);

// Of an event as a decoder leaves it, before the intake fills its own fields. InvalidArgument with field, value and what
// is allowed; PermissionDenied "foreign …" where it claims another gateway or shop than `gateway` and `shop`.
absl::Status Validate(const event::v1::DeviceEvent& event, std::string_view gateway, std::string_view shop);

}  // namespace sluice::intake
