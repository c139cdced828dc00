#include "tests/judge/stock.h"

#include <algorithm>

namespace sluice::judge {
namespace {

// What the movement has to do to the level before it.
int64_t ChangeOf(const Movement& movement, Detail told, int64_t before) {
  if (told < 0) return movement.change;
  if (movement.kind == Kind::kSale) return -told;
  return movement.kind == Kind::kRefill ? told : told - before;
}

}  // namespace

void Stock::Level(std::string_view shop, std::string_view product, int64_t level) {
  levels_[{std::string(shop), std::string(product)}] = level;
}

uint64_t Stock::Check(const std::function<Detail(const Movement&)>& told,
                      const std::function<void(const std::string&)>& fault) const {
  std::vector<const Movement*> order;
  for (const Movement& movement : movements_) order.push_back(&movement);
  std::sort(order.begin(), order.end(), [](const Movement* a, const Movement* b) { return a->position < b->position; });
  uint64_t wrong = 0;
  std::map<Key, int64_t> levels;
  for (const Movement* movement : order) {
    int64_t& level = levels[{movement->shop, movement->product}];
    const int64_t change = ChangeOf(*movement, told(*movement), level);
    if (movement->change != change || movement->level != level + movement->change) {
      ++wrong;
      fault("stock moves from " + std::to_string(level) + " by " + std::to_string(movement->change) + " to " +
            std::to_string(movement->level) + ", by the ledger it has to move by " + std::to_string(change) + ": " +
            std::string(NameOf(movement->kind)) + " " + movement->device + " seq " + std::to_string(movement->seq));
    }
    level = movement->level;   // one fault, not all that follow it
  }
  const auto level_of = [](const std::map<Key, int64_t>& of, const Key& key) {
    const auto found = of.find(key);
    return found == of.end() ? "none" : std::to_string(found->second);
  };
  std::map<Key, int64_t> either = levels;
  either.insert(levels_.begin(), levels_.end());
  for (const auto& [key, ignored] : either) {
    if (level_of(levels, key) == level_of(levels_, key)) continue;
    ++wrong;
    fault("stock level of " + key.first + "/" + key.second + " is " + level_of(levels_, key) + ", by its movements " +
          level_of(levels, key));
  }
  return wrong;
}

}  // namespace sluice::judge
