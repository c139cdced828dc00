#include "gateway/daemon/event_text.h"

#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

TEST(EventTextTest, ShowsASaleAsPeopleReadIt) {
  event::v1::DeviceEvent event;
  auto* sale = event.mutable_sale();
  sale->set_product_id("cola");
  sale->set_quantity(2);
  sale->mutable_price()->set_minor_units(150);
  sale->mutable_price()->set_currency("EUR");
  EXPECT_EQ(KindName(event), "sale");
  EXPECT_EQ(BodyJson(event), R"({"product_id":"cola","quantity":2,"price":{"minor_units":150,"currency":"EUR"}})");
}

TEST(EventTextTest, ShortensEnumerationsAndKeepsMaps) {
  event::v1::DeviceEvent event;
  event.mutable_status()->set_state(event::v1::Status::STATE_OUT_OF_SERVICE);
  (*event.mutable_status()->mutable_attributes())["firmware"] = "1.2";
  EXPECT_EQ(BodyJson(event), R"({"state":"out_of_service","attributes":{"firmware":"1.2"}})");
  event.mutable_punch()->set_verified_by(event::v1::VERIFIED_BY_PIN);
  event.mutable_punch()->set_direction(event::v1::Punch::DIRECTION_IN);
  EXPECT_EQ(BodyJson(event), R"({"direction":"in","verified_by":"pin"})");
}

TEST(EventTextTest, ShowsMeasurementsOfEveryType) {
  event::v1::DeviceEvent event;
  auto* one = event.mutable_telemetry()->add_measurements();
  one->set_name("t");
  one->set_number(4.5);
  one->set_unit("Cel");
  auto* two = event.mutable_telemetry()->add_measurements();
  two->set_name("door");
  two->set_flag(false);
  EXPECT_EQ(BodyJson(event), R"({"measurements":[{"name":"t","number":4.5,"unit":"Cel"},{"name":"door","flag":false}]})");
}

TEST(EventTextTest, HasAWordForWhatItDoesNotKnow) {
  EXPECT_EQ(KindName({}), "unknown");
  EXPECT_EQ(BodyJson({}), "{}");
}

}  // namespace
}  // namespace sluice::daemon
