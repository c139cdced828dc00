#include "devices/sim/receipt.h"

#include <nlohmann/json.hpp>

namespace sluice::sim {
namespace {

using Json = nlohmann::json;

absl::StatusOr<Receipt> FromJson(const Json& json) {
  if (!json.is_object()) return absl::InvalidArgumentError("a receipt is a JSON object");
  Receipt receipt;
  if (const auto boot = json.find("boot"); boot != json.end()) {
    if (!boot->is_number_unsigned()) return absl::InvalidArgumentError("boot is not an unsigned number");
    receipt.boot = boot->get<uint64_t>();
  }
  if (const auto ranges = json.find("ranges"); ranges != json.end()) {
    if (!ranges->is_array()) return absl::InvalidArgumentError("ranges is not an array");
    receipt.ranges.reserve(ranges->size());
    for (const Json& range : *ranges) {
      if (!range.is_array() || range.size() != 2 || !range[0].is_number_unsigned() || !range[1].is_number_unsigned()) {
        return absl::InvalidArgumentError("a range is not [first, last]");
      }
      const auto first = range[0].get<uint64_t>();
      const auto last = range[1].get<uint64_t>();
      if (first > last) return absl::InvalidArgumentError("a range is backwards");
      receipt.ranges.emplace_back(first, last);
    }
  }
  if (const auto refused = json.find("refused"); refused != json.end()) {
    if (!refused->is_array()) return absl::InvalidArgumentError("refused is not an array");
    for (const Json& one : *refused) {
      if (!one.is_object()) return absl::InvalidArgumentError("refused has something that is not an object");
      const auto seq = one.find("seq");
      if (seq == one.end()) continue;  // refused by message id: the simulator numbers, so it is not ours
      if (!seq->is_number_unsigned()) return absl::InvalidArgumentError("a refused seq is not an unsigned number");
      const auto reason = one.find("reason");
      receipt.refused.push_back(
          {seq->get<uint64_t>(), reason != one.end() && reason->is_string() ? reason->get<std::string>() : ""});
    }
  }
  return receipt;
}

}  // namespace

absl::StatusOr<Receipt> ParseReceipt(std::string_view json) {
  return FromJson(Json::parse(json, nullptr, /*allow_exceptions=*/false));
}

absl::StatusOr<Receipt> ParseAckLine(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("the line is not a JSON object");
  const auto ack = json.find("ack");
  if (ack == json.end()) return absl::NotFoundError("no ack in the line");
  return FromJson(*ack);
}

}  // namespace sluice::sim
