#include "devices/json_receipt.h"

#include "nlohmann/json.hpp"

namespace sluice::devices {

std::string ReceiptToJson(const Receipt& receipt) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  bool numbers = receipt.boot != 0 || !receipt.ranges.empty();
  for (const Receipt::Refused& refused : receipt.refused) numbers = numbers || refused.message_id.empty();
  if (numbers) {
    json["boot"] = receipt.boot;
    nlohmann::ordered_json& ranges = json["ranges"] = nlohmann::ordered_json::array();
    for (const auto& [first, last] : receipt.ranges) ranges.push_back({first, last});
  }
  for (const Receipt::Refused& refused : receipt.refused) {
    nlohmann::ordered_json entry;
    if (refused.message_id.empty()) {
      entry["seq"] = refused.seq;
    } else {
      entry["id"] = refused.message_id;
    }
    entry["reason"] = refused.reason;
    json["refused"].push_back(std::move(entry));
  }
  for (const std::string& id : receipt.ids) json["ids"].push_back(id);
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace sluice::devices
