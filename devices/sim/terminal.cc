// An attendance terminal with 60 people: each comes, takes breaks and goes. Some terminals leave the direction to the cloud.
#include <array>

#include "devices/sim/family.h"
#include "devices/sim/text.h"

namespace sluice::sim {
namespace {

constexpr int kPeople = 60;
constexpr std::array<std::string_view, 4> kWays = {"finger", "face", "card", "pin"};

class Terminal final : public Family {
 public:
  explicit Terminal(uint64_t seed) : dice_(seed), tells_direction_(dice_.Below(4) != 0) {}

  std::string_view Name() const override { return "terminal"; }

  Kind Next(Wish wish, std::string& body) override {
    switch (wish) {
      case Wish::kOnline:
      case Wish::kBulk: return Status(body);
      case Wish::kCritical: return Person(body);
      case Wish::kAny: break;
    }
    return dice_.Below(10) < 3 ? Status(body) : Person(body);
  }

 private:
  enum class Where : uint8_t { kAway, kWorking, kBreak };

  Kind Person(std::string& body) {
    const size_t user = dice_.Below(kPeople);
    const std::string_view way = kWays[dice_.Below(kWays.size())];
    Where& where = where_[user];
    if (where == Where::kBreak || (where == Where::kWorking && dice_.Below(3) == 0)) {
      const bool start = where == Where::kWorking;
      where = start ? Where::kBreak : Where::kWorking;
      Append(body, ",\"user\":\"", 1001 + user, "\",\"phase\":\"", start ? "start" : "end", "\",\"verified\":\"", way, "\"");
      return Kind::kBreak;
    }
    const bool in = where == Where::kAway;
    where = in ? Where::kWorking : Where::kAway;
    Append(body, ",\"user\":\"", 1001 + user, "\"");
    if (tells_direction_) Append(body, ",\"direction\":\"", in ? "in" : "out", "\"");
    Append(body, ",\"verified\":\"", way, "\"");
    return Kind::kPunch;
  }

  Kind Status(std::string& body) {
    Append(body, ",\"state\":\"online\",\"attributes\":{\"firmware\":\"7.0.3\",\"users\":\"", kPeople, "\"}");
    return Kind::kStatus;
  }

  Dice dice_;
  const bool tells_direction_;
  std::array<Where, kPeople> where_{};
};

}  // namespace

std::unique_ptr<Family> MakeTerminal(uint64_t seed) { return std::make_unique<Terminal>(seed); }

}  // namespace sluice::sim
