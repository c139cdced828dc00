// The inventory's own books, cast up once more: every movement by what its device said, every level by its movements.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/judge/kind.h"

namespace sluice::judge {

// A row of stock_movements.
struct Movement {
  int64_t position = 0;
  std::string shop, product, device;
  bool numbered = false;
  uint64_t boot = 0, seq = 0;
  Kind kind = Kind::kUnknown;
  int64_t change = 0, level = 0;
};

class Stock {
 public:
  void Add(Movement movement) { movements_.push_back(std::move(movement)); }
  void Level(std::string_view shop, std::string_view product, int64_t level);

  // How many rows are wrong. `told`: quantity or level by the ledger; kNotTold where it does not say.
  uint64_t Check(const std::function<Detail(const Movement&)>& told, const std::function<void(const std::string&)>& fault) const;

 private:
  using Key = std::pair<std::string, std::string>;   // shop, product
  std::vector<Movement> movements_;
  std::map<Key, int64_t> levels_;
};

}  // namespace sluice::judge
