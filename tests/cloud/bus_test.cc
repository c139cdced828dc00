// Envelope, relay and file: each event once and whole in the file, however the last run ended.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cloud/attendance/attendance_service.h"
#include "cloud/attendance/punch_applier.h"
#include "cloud/eventbus/json.h"
#include "cloud/eventbus/json_lines_file.h"
#include "cloud/eventbus/relay.h"
#include "cloud/shop/device_applier.h"
#include "cloud/shop/shop_service.h"
#include "tests/cloud/fixture.h"

namespace sluice::cloud {
namespace {

using ::testing::ElementsAre;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(EnvelopeTest, IsWhatTheErpReads) {
  eventbus::Event event;
  event.type = "StockUpdated";
  event.timestamp_ms = 1'700'000'000'045;
  event.correlation_id = "order \"7\"";
  event.cause = IdOf(1);
  event.data_json = R"({"shopId":"s"})";
  // eventId: Python's uuid.uuid5(cause, "StockUpdated/0").
  std::string out;
  eventbus::AppendEnvelope(out, "inventory-service", event);
  EXPECT_EQ(out,
            R"({"eventId":"3093e2ac-16d3-559b-9ae1-bf258ed291f5","eventType":"StockUpdated","eventVersion":"1.0",)"
            R"("source":"inventory-service","timestamp":1700000000.045,"correlationId":"order \"7\"",)"
            R"("causationId":null,"data":{"shopId":"s"}})");
}

TEST(JsonTest, EscapesAndSurvives) {
  std::string out;
  const std::string text("a\"\\\n\x01\x7F\0ü", 9);
  eventbus::AppendJsonString(out, text);
  EXPECT_EQ(nlohmann::json::parse(out).get<std::string>(), text);
  for (const double value : {0.1, -1e300, 21.5, 1e-320}) {
    std::string number;
    eventbus::AppendJsonNumber(number, value);
    EXPECT_EQ(nlohmann::json::parse(number).get<double>(), value);
  }
  std::string seconds;
  eventbus::AppendJsonSeconds(seconds, 1'700'000'000'007);
  seconds += ' ';
  eventbus::AppendJsonSeconds(seconds, 0);
  seconds += ' ';
  eventbus::AppendJsonSeconds(seconds, -1'500);
  EXPECT_EQ(seconds, "1700000000.007 0.000 -1.500");
  std::string nan;
  eventbus::AppendJsonNumber(nan, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(nan, "null");
}

TEST(JsonTest, EscapesWhereverItStands) {
  for (char c = 1; c < 0x7F; ++c) {
    for (size_t at = 0; at < 20; ++at) {
      std::string text(20, 'x');
      text[at] = c;
      std::string out;
      eventbus::AppendJsonString(out, text);
      ASSERT_EQ(nlohmann::json::parse(out).get<std::string>(), text) << static_cast<int>(c) << " at " << at;
    }
  }
}

TEST(JsonTest, ANameIsEscapedToo) {
  std::string out;
  eventbus::JsonObject object(out);
  object.Number("n", int64_t{1}).Text(std::string_view("a\"b"), "x").Bool("c\"d", true);
  object.Close();
  EXPECT_EQ(out, R"({"n":1,"a\"b":"x","c\"d":true})");
}

class ShopBusTest : public ::testing::Test {
 protected:
  void StartRelay() {
    file_ = std::make_unique<eventbus::JsonLinesFile>(eventbus::JsonLinesOptions{.path = path_});
    auto relay = eventbus::Relay::Start({.note_every_ms = 3'600'000}, *ingest_.store, *file_,
                                        [](const absl::Status& status) { ADD_FAILURE() << status.ToString(); },
                                        ingest_.fresh.get());
    ASSERT_TRUE(relay.ok());
    relay_ = *std::move(relay);
  }
  void Apply(uint64_t from, uint64_t to) {
    std::vector<Item> items;
    for (uint64_t i = from; i <= to; ++i) {
      auto event = NewEvent(i, StrCat("d", i % 3), i);
      event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
      items.push_back(Record(i, event));
    }
    const auto applied = ingest_.cursors->Apply(lease_, IdOf(1), items);
    ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  }
  // The sequence numbers of the file's lines; fails on a line that is no JSON.
  std::vector<uint64_t> Seqs() {
    std::vector<uint64_t> seqs;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) {
      seqs.push_back(nlohmann::json::parse(line)["data"]["origin"]["seq"]);
    }
    return seqs;
  }

  TempFolder folder_;
  const std::string path_ = folder_.path() + "/events.jsonl";
  Ingest<shop::DeviceApplier> ingest_{folder_.path(), shop::Schema()};
  ingest::Lease lease_ = ingest_.OpenStream(Queue::kShopBulk);
  std::unique_ptr<eventbus::JsonLinesFile> file_;
  std::unique_ptr<eventbus::Relay> relay_;
};

TEST_F(ShopBusTest, PublishesInOrderAsItIsCommitted) {
  StartRelay();
  Apply(1, 3);
  ASSERT_TRUE(relay_->AwaitPublished(ingest_.store->committed_position(), 10'000));
  EXPECT_THAT(Seqs(), ElementsAre(1, 2, 3));
  Apply(4, 4);
  ASSERT_TRUE(relay_->AwaitPublished(ingest_.store->committed_position(), 10'000));
  EXPECT_THAT(Seqs(), ElementsAre(1, 2, 3, 4));
}

TEST_F(ShopBusTest, ATornTailIsCutAndPublishedAgain) {
  StartRelay();
  Apply(1, 2);
  relay_.reset();   // notes two lines
  const std::string noted = ReadAll(path_);
  // A run that wrote the third line and half of the fourth, and died before it could note them.
  Apply(3, 4);
  StartRelay();
  ASSERT_TRUE(relay_->AwaitPublished(ingest_.store->committed_position(), 10'000));
  relay_.reset();
  const std::string whole = ReadAll(path_);
  ingest_.Reopen();
  ASSERT_TRUE(ingest_.store
                  ->Write([&](store::Transaction& transaction) {
                    static constexpr store::Sql kForget{"UPDATE bus_relay SET position = 2, mark = ?", "t"};
                    return transaction.Run(kForget, StrCat("1:", noted.size())).status();
                  })
                  .ok());
  std::filesystem::resize_file(path_, whole.size() - 20);
  StartRelay();
  ASSERT_TRUE(relay_->AwaitPublished(ingest_.store->committed_position(), 10'000));
  EXPECT_EQ(ReadAll(path_), whole) << "the same bytes, once each";
}

TEST_F(ShopBusTest, AFileThatWasTakenAwayBeginsAnew) {
  StartRelay();
  Apply(1, 2);
  relay_.reset();
  std::filesystem::remove(path_);
  ingest_.Reopen();
  lease_ = ingest_.OpenStream(Queue::kShopBulk);
  StartRelay();
  Apply(3, 3);
  ASSERT_TRUE(relay_->AwaitPublished(ingest_.store->committed_position(), 10'000));
  EXPECT_THAT(Seqs(), ElementsAre(3));
}

TEST_F(ShopBusTest, ARepeatedStatusIsNotPublishedAgainAlsoAfterARestart) {
  Apply(1, 3);
  ingest_.Reopen();
  lease_ = ingest_.OpenStream(Queue::kShopBulk);
  auto again = NewEvent(2, "d2", 2);
  again.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
  ASSERT_TRUE(ingest_.cursors->Apply(lease_, IdOf(1), {Record(4, again)}).ok());
  EXPECT_EQ(ingest_.Value("SELECT count(*) FROM effects"), "3");
}

TEST_F(ShopBusTest, OneIdAsTwoKindsHasOneEffect) {
  const auto alarm = [](uint64_t id) {
    auto event = NewEvent(id, "d", id);
    event.mutable_alarm()->set_code("door");
    return event;
  };
  auto telemetry = NewEvent(5, "d", 5);
  telemetry.mutable_telemetry()->add_measurements()->set_name("t");
  Apply(1, 3);
  ASSERT_TRUE(ingest_.cursors->Apply(lease_, IdOf(1), {Record(4, alarm(4)), Record(5, alarm(5))}).ok());
  for (int round = 0; round < 2; ++round) {
    const uint64_t number = round == 0 ? 6 : 9;
    const auto applied = ingest_.cursors->Apply(
        lease_, IdOf(1), {Record(number, alarm(2)), Record(number + 1, alarm(4)), Record(number + 2, telemetry)});
    ASSERT_TRUE(applied.ok()) << applied.status().ToString();
    ASSERT_EQ(applied->dead_letters.size(), 1u);
    EXPECT_EQ(applied->dead_letters[0].number, number);
    EXPECT_EQ(ingest_.Value("SELECT count(*) FROM effects"), "5");
    EXPECT_EQ(ingest_.Value("SELECT count(*) FROM bus_outbox"), "5");
    ingest_.Reopen();
    lease_ = ingest_.OpenStream(Queue::kShopBulk);
  }
}

TEST_F(ShopBusTest, DevicesKeepTheirLastStatusAndTheNewestTime) {
  auto online = NewEvent(1, "fridge", 1), late = NewEvent(2, "fridge", 2);
  online.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
  online.mutable_status()->set_text("fine");
  late.set_device_time_ms(1'600'000'000'000);
  late.mutable_telemetry()->add_measurements()->set_name("t");
  ASSERT_TRUE(ingest_.cursors->Apply(lease_, IdOf(1), {Record(1, online), Record(2, late)}).ok());
  shop::v1::ListDevicesResponse response;
  ASSERT_TRUE(shop::ListDevices(*ingest_.store, {}, response).ok());
  ASSERT_EQ(response.devices_size(), 1);
  EXPECT_EQ(response.devices(0).status(), "online");
  EXPECT_EQ(response.devices(0).status_text(), "fine");
  EXPECT_EQ(response.devices(0).last_seen_ms(), online.device_time_ms());
}

TEST_F(ShopBusTest, DevicesArePaged) {
  Apply(1, 3);
  shop::v1::ListDevicesRequest request;
  request.set_shop_id("shop-1");
  request.set_page_size(2);
  shop::v1::ListDevicesResponse first, second;
  ASSERT_TRUE(shop::ListDevices(*ingest_.store, request, first).ok());
  EXPECT_EQ(first.devices_size(), 2);
  request.set_page_token(first.next_page_token());
  ASSERT_TRUE(shop::ListDevices(*ingest_.store, request, second).ok());
  ASSERT_EQ(second.devices_size(), 1);
  EXPECT_EQ(second.devices(0).device_id(), "d2");
  EXPECT_TRUE(second.next_page_token().empty());
}

TEST(AttendanceTest, PunchesBecomeWhatTheySay) {
  TempFolder folder;
  Ingest<attendance::PunchApplier> ingest(folder.path(), attendance::Schema());
  const auto lease = ingest.OpenStream(Queue::kAttendance);
  std::vector<Item> items;
  for (uint64_t i = 1; i <= 5; ++i) {
    auto event = NewEvent(i, "door", i);
    if (i <= 3) {
      event.mutable_punch()->set_user("42");
      event.mutable_punch()->set_verified_by(event::v1::VERIFIED_BY_CARD);
      event.mutable_punch()->set_direction(static_cast<event::v1::Punch::Direction>(i - 1));
    } else {
      event.mutable_break_()->set_user("42");
      event.mutable_break_()->set_phase(static_cast<event::v1::Break::Phase>(i - 3));
    }
    items.push_back(Record(i, event));
  }
  ASSERT_TRUE(ingest.cursors->Apply(lease, IdOf(1), items).ok());
  EXPECT_THAT(ingest.Rows("SELECT kind FROM punches ORDER BY position", 1),
              ElementsAre("punch", "check_in", "check_out", "break_start", "break_end"));
  const auto envelopes = ingest.Rows("SELECT envelope FROM bus_outbox ORDER BY position", 1);
  ASSERT_EQ(envelopes.size(), 5u);
  const auto punch = nlohmann::json::parse(envelopes[0]), check_in = nlohmann::json::parse(envelopes[1]);
  EXPECT_EQ(punch["eventType"], "DeviceDataReceived");
  EXPECT_EQ(punch["data"]["dataType"], "punch");
  EXPECT_EQ(check_in["eventType"], "CheckInRecorded");
  EXPECT_EQ(check_in["data"]["employeeId"], "42");
  EXPECT_EQ(check_in["causationId"], IdOf(2).ToUuid());
  attendance::v1::ListPunchesRequest request;
  request.set_page_size(3);
  attendance::v1::ListPunchesResponse first, second;
  ASSERT_TRUE(attendance::ListPunches(*ingest.store, request, first).ok());
  request.set_page_token(first.next_page_token());
  ASSERT_TRUE(attendance::ListPunches(*ingest.store, request, second).ok());
  EXPECT_EQ(first.punches_size(), 3);
  EXPECT_EQ(second.punches_size(), 2);
  EXPECT_EQ(second.punches(1).kind(), "break_end");
}

}  // namespace
}  // namespace sluice::cloud
