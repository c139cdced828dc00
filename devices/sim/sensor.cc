// A shop sensor: a fridge's temperature and humidity that wander, with an alarm while it is too warm.
#include "devices/sim/family.h"
#include "devices/sim/text.h"

namespace sluice::sim {
namespace {

class Sensor final : public Family {
 public:
  explicit Sensor(uint64_t seed) : dice_(seed), tenths_(40 + static_cast<int64_t>(dice_.Below(20))) {}

  std::string_view Name() const override { return "sensor"; }

  Kind Next(Wish wish, std::string& body) override {
    switch (wish) {
      case Wish::kOnline: return Status(body);
      case Wish::kCritical: return Alarm(body);
      case Wish::kBulk: return dice_.Below(20) == 0 ? Status(body) : Telemetry(body);
      case Wish::kAny: break;
    }
    if (warm_ != (tenths_ > kTooWarm)) return Alarm(body);
    return dice_.Below(20) == 0 ? Status(body) : Telemetry(body);
  }

 private:
  static constexpr int64_t kTooWarm = 80;  // tenths of a degree

  Kind Telemetry(std::string& body) {
    tenths_ += static_cast<int64_t>(dice_.Below(7)) - 3;
    if (tenths_ < 10 || tenths_ > 120) tenths_ = 45;
    Append(body, ",\"values\":{\"temperature\":{\"value\":", tenths_ / 10, ".", tenths_ % 10,
           ",\"unit\":\"Cel\"},\"humidity\":{\"value\":", 40 + dice_.Below(30), ",\"unit\":\"%\"},\"battery_mv\":",
           2900 + dice_.Below(300), "}");
    return Kind::kTelemetry;
  }

  Kind Status(std::string& body) {
    Append(body, ",\"state\":\"online\",\"attributes\":{\"firmware\":\"1.9.0\"}");
    return Kind::kStatus;
  }

  Kind Alarm(std::string& body) {
    warm_ = !warm_;
    Append(body, ",\"code\":\"too-warm\",\"severity\":\"critical\",\"text\":\"", tenths_ / 10, ".", tenths_ % 10,
           " C\",\"cleared\":", warm_ ? "false" : "true");
    return Kind::kAlarm;
  }

  Dice dice_;
  int64_t tenths_;
  bool warm_ = false;
};

}  // namespace

std::unique_ptr<Family> MakeSensor(uint64_t seed) { return std::make_unique<Sensor>(seed); }

}  // namespace sluice::sim
