// A vending machine of 40 selections: sells until a selection is empty, is refilled and counted, changes prices.
#include <array>

#include "devices/sim/family.h"
#include "devices/sim/text.h"

namespace sluice::sim {
namespace {

constexpr int kSelections = 40;
constexpr int kCapacity = 12;
constexpr std::array<std::string_view, 8> kProducts = {"cola-033",  "water-050", "juice-025", "coffee-020",
                                                       "crisps-45", "bar-50",    "nuts-60",   "gum-10"};
constexpr std::array<std::string_view, 3> kPayments = {"card", "cash", "app"};
constexpr std::array<std::string_view, 3> kFaults = {"coin-jam", "door-open", "spiral-stuck"};

class Vending final : public Family {
 public:
  explicit Vending(uint64_t seed) : dice_(seed) {
    for (int i = 0; i < kSelections; ++i) {
      level_[i] = kCapacity;
      price_[i] = 80 + 10 * static_cast<int>(dice_.Below(20));
    }
  }

  std::string_view Name() const override { return "vending"; }

  Kind Next(Wish wish, std::string& body) override {
    switch (wish) {
      case Wish::kOnline: return Status(body);
      case Wish::kBulk: return Bulk(body);
      case Wish::kCritical: return Trade(body);
      case Wish::kAny: break;
    }
    const uint64_t throw100 = dice_.Below(100);
    if (throw100 < 45) return Trade(body);
    if (throw100 < 46) return Alarm(body);
    return Bulk(body);
  }

 private:
  // Sales mostly; what an empty selection needs comes before the next sale from it.
  Kind Trade(std::string& body) {
    const auto selection = static_cast<int>(dice_.Below(kSelections));
    if (level_[selection] == 0) {
      level_[selection] = kCapacity;
      Place(selection, body);
      Append(body, ",\"quantity\":", kCapacity);
      return Kind::kRefill;
    }
    const uint64_t throw100 = dice_.Below(100);
    if (throw100 < 4) {
      Place(selection, body);
      Append(body, ",\"level\":", level_[selection]);
      return Kind::kStockCount;
    }
    if (throw100 < 6) {
      price_[selection] = 80 + 10 * static_cast<int>(dice_.Below(20));
      Place(selection, body);
      Append(body, ",\"price\":", price_[selection], ",\"currency\":\"EUR\"");
      return Kind::kPriceChange;
    }
    --level_[selection];
    Place(selection, body);
    Append(body, ",\"quantity\":1,\"price\":", price_[selection], ",\"currency\":\"EUR\",\"payment\":\"",
           kPayments[dice_.Below(kPayments.size())], "\",\"transaction\":\"t-", ++transaction_, "\"");
    return Kind::kSale;
  }

  Kind Bulk(std::string& body) {
    if (dice_.Below(10) == 0) return Status(body);
    Append(body, ",\"values\":{\"temperature\":{\"value\":", 3 + dice_.Below(4), ".", dice_.Below(10),
           ",\"unit\":\"Cel\"},\"coins\":", dice_.Below(400), ",\"door\":false,\"compressor\":",
           dice_.Below(2) ? "true" : "false", "}");
    return Kind::kTelemetry;
  }

  Kind Status(std::string& body) {
    Append(body, ",\"state\":\"online\",\"attributes\":{\"firmware\":\"4.2.1\",\"signal\":\"-", 50 + dice_.Below(40),
           " dBm\"}");
    return Kind::kStatus;
  }

  Kind Alarm(std::string& body) {
    alarm_ = !alarm_;
    if (alarm_) fault_ = dice_.Below(kFaults.size());
    Append(body, ",\"code\":\"", kFaults[fault_], "\",\"severity\":\"warning\",\"cleared\":", alarm_ ? "false" : "true");
    return Kind::kAlarm;
  }

  static void Place(int selection, std::string& body) {
    Append(body, ",\"product\":\"", kProducts[static_cast<size_t>(selection) % kProducts.size()], "\",\"selection\":\"",
           std::string_view("ABCDE").substr(static_cast<size_t>(selection) / 8, 1), 1 + selection % 8, "\"");
  }

  Dice dice_;
  std::array<int, kSelections> level_{};
  std::array<int, kSelections> price_{};
  uint64_t transaction_ = 0;
  uint64_t fault_ = 0;
  bool alarm_ = false;
};

}  // namespace

std::unique_ptr<Family> MakeVending(uint64_t seed) { return std::make_unique<Vending>(seed); }

}  // namespace sluice::sim
