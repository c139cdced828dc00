#include "gateway/intake/validate.h"

#include <google/protobuf/text_format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "gateway/intake/routing.h"
#include "gateway/intake/utf8.h"

namespace sluice::intake {
namespace {

using ::testing::HasSubstr;

event::v1::DeviceEvent Parse(const std::string& text) {
  event::v1::DeviceEvent event;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event)) << text;
  return event;
}

absl::Status Check(const std::string& text) { return Validate(Parse(text), "gw-1", "shop-1"); }

TEST(ValidateTest, TakesEachKindAsTheDecodersMakeIt) {
  for (const char* body : {
           "status { state: STATE_ONLINE text: 'line 1\\nline 2' attributes { key: 'rssi' value: '-70' } }",
           "telemetry { measurements { name: 'temperature' number: 4.5 unit: 'Cel' } measurements { name: 'door' flag: true } }",
           "alarm { code: 'door_open' severity: SEVERITY_WARNING }",
           "sale { product_id: 'cola' quantity: 1 price { minor_units: 150 currency: 'EUR' } payment: 'card' }",
           "sale { selection: 'A3' quantity: 2 }",
           "refill { product_id: 'cola' quantity: 12 }",
           "stock_count { product_id: 'cola' level: 0 }",
           "price_change { product_id: 'cola' price { minor_units: 0 currency: 'EUR' } }",
           "punch { user: '4711' verified_by: VERIFIED_BY_FINGER }",
           "break { user: '4711' phase: PHASE_STARTED }",
           "command_result { command_id: 'c-1' ok: true }",
       }) {
    EXPECT_TRUE(Check(std::string("device_id: 'vm-1' sequence { boot: 0 seq: 1 } ") + body).ok()) << body << Check(std::string("device_id: 'vm-1' ") + body);
  }
}

struct Case {
  const char* event;
  const char* reason;
};

TEST(ValidateTest, RefusesWithFieldValueAndWhatIsAllowed) {
  const std::string sale = " sale { product_id: 'x' quantity: 1 }";
  for (const Case& c : std::vector<Case>{
           {"sale { product_id: 'x' quantity: 1 }", "device \"\""},
           {"device_id: '.x' sale { product_id: 'x' quantity: 1 }", "not beginning with a dot"},
           {"device_id: 'a/b' sale { product_id: 'x' quantity: 1 }", "device \"a/b\""},
           {"device_id: 'a'", "kind: is missing"},
           {"device_id: 'a' clock_fix { offset_ms: 1 }", "from the gateway alone"},
           {"device_id: 'a' sequence { boot: 1 } sale { product_id: 'x' quantity: 1 }", "numbers begin at 1"},
           {"device_id: 'a' sequence { seq: 9223372036854775808 } sale { product_id: 'x' quantity: 1 }", "below 2^63"},
           {"device_id: 'a' sequence { boot: 9223372036854775808 seq: 1 } sale { product_id: 'x' quantity: 1 }", "below 2^63"},
           {"device_id: 'a' device_time_ms: -1 sale { product_id: 'x' quantity: 1 }", "time -1"},
           {"device_id: 'a' message_id: 'a\\nb' sale { product_id: 'x' quantity: 1 }", "id \"a?b\""},
           {"device_id: 'a' sale { quantity: 1 }", "product or selection"},
           {"device_id: 'a' sale { product_id: 'x' }", "quantity 0"},
           {"device_id: 'a' sale { product_id: 'x' quantity: 1000000001 }", "quantity 1000000001"},
           {"device_id: 'a' sale { product_id: 'x' quantity: 1 price { minor_units: -1 } }", "price -1"},
           {"device_id: 'a' sale { product_id: 'x' quantity: 1 price { currency: 'eur' } }", "ISO 4217"},
           {"device_id: 'a' refill { product_id: 'x' quantity: -3 }", "quantity -3"},
           {"device_id: 'a' stock_count { product_id: 'x' level: -1 }", "level -1"},
           {"device_id: 'a' price_change { product_id: 'x' }", "price: is missing"},
           {"device_id: 'a' punch { }", "user: is missing"},
           {"device_id: 'a' punch { user: 'u' direction: 9 }", "direction 9"},
           {"device_id: 'a' break { user: 'u' }", "phase 0"},
           {"device_id: 'a' break { user: 'u' phase: PHASE_STARTED verified_by: 77 }", "verified 77"},
           {"device_id: 'a' status { }", "state 0"},
           {"device_id: 'a' status { state: 9 }", "state 9"},
           {"device_id: 'a' alarm { severity: SEVERITY_INFO }", "code: is missing"},
           {"device_id: 'a' alarm { code: 'x' }", "severity 0"},
           {"device_id: 'a' telemetry { }", "values 0"},
           {"device_id: 'a' telemetry { measurements { number: 1 } }", "values: is missing"},
           {"device_id: 'a' telemetry { measurements { name: 't' } }", "has no value"},
           {"device_id: 'a' telemetry { measurements { name: 't' number: nan } }", "finite"},
           {"device_id: 'a' telemetry { measurements { name: 't' number: inf } }", "finite"},
           {"device_id: 'a' command_result { ok: true }", "command: is missing"},
       }) {
    const absl::Status status = Check(c.event);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.event << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.reason)) << c.event;
  }
}

TEST(ValidateTest, RefusesWhatIsTooLongOrNotUtf8) {
  auto event = Parse("device_id: 'a' sale { product_id: 'x' quantity: 1 }");
  event.mutable_sale()->set_product_id(std::string(Limits::kName, 'x'));
  EXPECT_TRUE(Validate(event, "gw-1", "shop-1").ok());
  event.mutable_sale()->set_product_id(std::string(Limits::kName + 1, 'x'));
  EXPECT_FALSE(Validate(event, "gw-1", "shop-1").ok());
  event.mutable_sale()->set_product_id("\xc3\x28");
  EXPECT_FALSE(Validate(event, "gw-1", "shop-1").ok());
  event = Parse("device_id: 'a' status { state: STATE_ONLINE }");
  event.mutable_status()->set_text(std::string("a\0b", 3));
  EXPECT_FALSE(Validate(event, "gw-1", "shop-1").ok());
  event.mutable_status()->set_text("");
  (*event.mutable_status()->mutable_attributes())["k"] = "\xff";
  EXPECT_FALSE(Validate(event, "gw-1", "shop-1").ok());
}

TEST(ValidateTest, AClaimOfAnotherGatewayOrShopIsDenied) {
  const std::string rest = " sale { product_id: 'x' quantity: 1 }";
  EXPECT_TRUE(Check("device_id: 'a' gateway_id: 'gw-1' shop_id: 'shop-1'" + rest).ok());
  for (const char* claim : {"gateway_id: 'gw-2'", "shop_id: 'shop-2'", "gateway_id: 'gw-1' shop_id: 'GW-1'"}) {
    const absl::Status status = Check(std::string("device_id: 'a' ") + claim + rest);
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << claim;
    EXPECT_THAT(std::string(status.message()), HasSubstr("foreign"));
  }
}

TEST(RoutingTest, EachKindHasTheQueueOfTheArchitecture) {
  const auto queue_of = [](const char* body) { return RouteOf(Parse(body).body_case())->queue; };
  for (const char* body : {"sale {}", "refill {}", "stock_count {}", "price_change {}"}) EXPECT_EQ(queue_of(body), Queue::kInventory);
  for (const char* body : {"punch {}", "break {}"}) EXPECT_EQ(queue_of(body), Queue::kAttendance);
  for (const char* body : {"alarm {}", "command_result {}"}) EXPECT_EQ(queue_of(body), Queue::kShopUrgent);
  for (const char* body : {"status {}", "telemetry {}"}) EXPECT_EQ(queue_of(body), Queue::kShopBulk);
  EXPECT_FALSE(RouteOf(event::v1::DeviceEvent::BODY_NOT_SET).has_value());
  EXPECT_EQ(KindName(event::v1::DeviceEvent::kStockCount), "stock-count");
  EXPECT_EQ(KindName(event::v1::DeviceEvent::kClockFix), "clock-fix");
}

// Markus Kuhn's "UTF-8 decoder capability and stress test": one of each class.
TEST(Utf8Test, KnowsWellFormedText) {
  for (const std::string good : {"", "plain ascii, longer than eight", "\u03ba\u1f79\u03c3\u03bc\u03b5", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
                                 "\xed\x9f\xbf", "\xee\x80\x80", "12345678\xc3\xa9"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const std::string bad : {"\x80", "\xbf", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                "\xfe", "\xff", "12345678\xe2\x82", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(bad));
    EXPECT_TRUE(IsUtf8(Printable(bad, 100)));
  }
  EXPECT_FALSE(IsPlainText("a\tb"));
  EXPECT_FALSE(IsPlainText("\x7f"));
  EXPECT_EQ(Printable("a\nb\xff\xc3\xa9", 100), "a?b?\xc3\xa9");
  EXPECT_EQ(Printable("abc\xc3\xa9", 4), "abc");
}

}  // namespace
}  // namespace sluice::intake
