#include "devices/native/decode.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "base/strings.h"
#include "devices/json_receipt.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace sluice::native {
namespace {

// One golden case: see cases/README.md.
struct Case {
  std::string name;
  nlohmann::json data;
};

std::vector<Case> LoadCases() {
  const char* root = std::getenv("SLUICE_SOURCE");
  const std::filesystem::path folder = std::filesystem::path(root ? root : ".") / "tests/devices/native/cases";
  std::vector<Case> cases;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream file(entry.path());
    for (auto& data : nlohmann::json::parse(file)) {
      cases.push_back({StrCat(entry.path().stem().string(), ": ", data.at("name").get<std::string>()), data});
    }
  }
  return cases;
}

std::string PayloadOf(const nlohmann::json& data) {
  if (data.contains("hex")) {
    std::string payload;
    std::string hex = data["hex"];
    hex.erase(std::remove(hex.begin(), hex.end(), ' '), hex.end());
    for (size_t i = 0; i + 1 < hex.size(); i += 2) payload += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return payload;
  }
  std::string payload = data.contains("body") ? data["body"].dump() : data.at("text").get<std::string>();
  if (data.contains("pad_to")) payload.insert(payload.size() - 1, data["pad_to"].get<size_t>() - payload.size(), ' ');
  return payload;
}

TEST(DecodeTest, DecodesOrRefusesEveryGoldenCase) {
  const std::vector<Case> cases = LoadCases();
  ASSERT_GT(cases.size(), 100U);
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    devices::JsonEventFacts facts;
    const std::string payload = PayloadOf(each.data);
    const auto decoded = Decode(each.data.at("topic").get<std::string>(), payload, &facts);
    if (each.data.contains("error")) {
      ASSERT_FALSE(decoded.ok());
      EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
      const std::string message(MessageOf(decoded.status()));
      EXPECT_NE(message.find(each.data["error"].get<std::string>()), std::string::npos) << message;
    } else {
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      event::v1::DeviceEvent expected;
      ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(each.data.at("event").dump(), &expected).ok());
      std::string difference;
      google::protobuf::util::MessageDifferencer differencer;
      differencer.ReportDifferencesToString(&difference);
      EXPECT_TRUE(differencer.Compare(expected, decoded->event)) << difference;
    }
    const nlohmann::json number = each.data.value("number", nlohmann::json::object());
    EXPECT_EQ(facts.numbering.has_sequence, number.contains("seq"));
    EXPECT_EQ(facts.numbering.boot, number.value("boot", uint64_t{0}));
    EXPECT_EQ(facts.numbering.seq, number.value("seq", uint64_t{0}));
    EXPECT_EQ(facts.numbering.message_id, number.value("id", ""));
  }
}

TEST(DecodeTest, RefusesAMegabyteButStillNamesItsNumber) {
  const std::string payload = R"({"boot":3,"seq":9,"x_junk":")" + std::string(1 << 20, 'a') + "\"}";
  devices::JsonEventFacts facts;
  const auto decoded = Decode("sluice/v1/dev/telemetry", payload, &facts);
  ASSERT_FALSE(decoded.ok());
  EXPECT_NE(MessageOf(decoded.status()).find("at most 65536"), std::string_view::npos);
  EXPECT_TRUE(facts.numbering.has_sequence);
  EXPECT_EQ(facts.numbering.seq, 9U);
}

TEST(DecodeTest, EveryCutOfABodyIsRefusedAndNeverNamesAWrongNumber) {
  const std::string whole = R"({"boot":12,"seq":345,"values":{"temperature":{"value":-3.5e0,"unit":"Cel"}},"time":1700000000000})";
  ASSERT_TRUE(Decode("sluice/v1/dev/telemetry", whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    devices::JsonEventFacts facts;
    EXPECT_FALSE(Decode("sluice/v1/dev/telemetry", whole.substr(0, size), &facts).ok()) << size;
    EXPECT_FALSE(facts.well_formed && size > 0) << size;
    if (facts.numbering.has_sequence) {
      EXPECT_EQ(facts.numbering.boot, 12U);
      EXPECT_EQ(facts.numbering.seq, 345U);
    }
  }
}

TEST(DecodeTest, RefusesNestingThatWouldExhaustTheStack) {
  const std::string body = R"({"x_deep":)" + std::string(30000, '[') + std::string(30000, ']') + "}";
  const auto decoded = Decode("sluice/v1/dev/telemetry", body);
  ASSERT_FALSE(decoded.ok());
  EXPECT_NE(MessageOf(decoded.status()).find("nested deeper"), std::string_view::npos);
}

TEST(DecodeTest, LimitsTheNumberOfMeasurementsAndAttributes) {
  nlohmann::json values, attributes;
  for (int i = 0; i < 65; ++i) values[StrCat("v", i)] = i;
  for (int i = 0; i < 33; ++i) attributes[StrCat("a", i)] = "x";
  EXPECT_FALSE(Decode("sluice/v1/dev/telemetry", nlohmann::json{{"values", values}}.dump()).ok());
  EXPECT_FALSE(Decode("sluice/v1/dev/status", nlohmann::json{{"state", "online"}, {"attributes", attributes}}.dump()).ok());
  values.erase("v64");
  attributes.erase("a32");
  EXPECT_TRUE(Decode("sluice/v1/dev/telemetry", nlohmann::json{{"values", values}}.dump()).ok());
  EXPECT_TRUE(Decode("sluice/v1/dev/status", nlohmann::json{{"state", "online"}, {"attributes", attributes}}.dump()).ok());
}

TEST(ReceiptTest, ListsRangesRefusalsAndIds) {
  devices::Receipt receipt;
  receipt.device_id = "vend-1";
  receipt.boot = 7;
  receipt.ranges = {{1, 12}, {14, 812}};
  receipt.refused.push_back({.seq = 13, .message_id = "", .reason = "price: must be an integer"});
  EXPECT_EQ(devices::ReceiptToJson(receipt),
            R"({"boot":7,"ranges":[[1,12],[14,812]],"refused":[{"seq":13,"reason":"price: must be an integer"}]})");
  devices::Receipt ids;
  ids.ids = {"a", "b"};
  ids.refused.push_back({.seq = 0, .message_id = "c", .reason = "bad \xff"});
  EXPECT_EQ(devices::ReceiptToJson(ids), "{\"refused\":[{\"id\":\"c\",\"reason\":\"bad \xef\xbf\xbd\"}],\"ids\":[\"a\",\"b\"]}");
  EXPECT_EQ(ReceiptTopic("vend-1"), "sluice/v1/vend-1/ack");
}

// A figure, not a verdict: machines and sanitizers differ.
TEST(DecodeTest, TellsItsSpeedOnTwoHundredBytes) {
  const std::string body =
      R"({"boot":1700000000,"seq":123456,"time":1700000000123,"correlation":"order-8231-a","product":"4006381333931",)"
      R"("selection":"A12","quantity":1,"price":250,"currency":"EUR","payment":"card","transaction":"T-000123-9"})";
  constexpr int kRounds = 20'000;
  const auto begin = std::chrono::steady_clock::now();
  int good = 0;
  for (int i = 0; i < kRounds; ++i) {
    devices::JsonEventFacts facts;
    good += Decode("sluice/v1/vend-0001/sale", body, &facts).ok() ? 1 : 0;
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(good, kRounds);
  std::cout << "decode of " << body.size() << " bytes: " << took.count() / kRounds << " us\n";
  RecordProperty("decode_us", StrCat(took.count() / kRounds));
}

}  // namespace
}  // namespace sluice::native
