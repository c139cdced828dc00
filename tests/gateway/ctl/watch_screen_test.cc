#include "gateway/ctl/watch_screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <sstream>
#include <string>
#include <vector>

#include "gateway/ctl/escape.h"
#include "gateway/ctl/watch_model.h"

namespace sluice::ctl {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kNowMs = 1'700'000'060'000;

control::v1::GetStatusResponse Snapshot(uint64_t events) {
  control::v1::GetStatusResponse status;
  status.set_gateway_id("gw-1");
  status.set_shop_id("shop-1");
  status.set_version("0.1.0");
  status.set_epoch("e1");
  status.set_started_ms(1'700'000'000'000);
  status.set_clock_state("synced");
  status.set_accepted(events);
  status.set_devices(2);
  auto* queue = status.add_queues();
  queue->set_name("inventory");
  queue->set_link("streaming");
  queue->set_last_number(events);
  queue->set_acknowledged(events - 10);
  queue->set_pending(10);
  queue->set_oldest_ms(4'200);
  queue->set_ack_time_us(1'850);
  queue = status.add_queues();
  queue->set_name("shop-bulk");
  queue->set_link("waiting");
  queue->set_detail("connection refused");
  queue->set_next_try_ms(kNowMs + 3'000);
  auto* source = status.add_sources();
  source->set_name("mqtt:main");
  source->set_state("connected");
  source->set_events(events);
  return status;
}

control::v1::TailedEvent Event(uint64_t number) {
  control::v1::TailedEvent event;
  event.set_event_id("id");
  event.set_device_id("vm-0001");
  event.set_kind("sale");
  event.set_queue("inventory");
  event.set_number(number);
  event.set_received_ms(kNowMs);
  event.set_summary("{}");
  return event;
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class WatchScreenTest : public testing::Test {
 protected:
  WatchScreenTest() {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST_F(WatchScreenTest, DrawsQueuesWithRatesOfSuccessiveSnapshots) {
  WatchModel model;
  model.AddSnapshot(Snapshot(1000), 0);
  EXPECT_FALSE(model.has_rates());
  model.AddSnapshot(Snapshot(1100), 2'000'000);
  model.AddEvent(Event(1100));
  EXPECT_THAT(Lines(DrawScreen(model, {120, 40}, kNowMs, false)),
              ElementsAre("sluiced 0.1.0   gateway gw-1   shop shop-1   up 1 min   clock synced   22:14:20.000",
                          "1100 events accepted (50/s)   0 duplicates   0 rejected   2 devices",  //
                          "",                                                                     //
                          "QUEUE      LINK       IN/s  OUT/s  PENDING  OLDEST  STORED  ACK TIME  GAPS  DEAD  ACKED",
                          "inventory  streaming    50     50       10   4.2 s       0   1.85 ms     0     0   1090",
                          "shop-bulk  waiting       0      0        0       -       0         -     0     0      0",
                          "  shop-bulk: connection refused (next try in 3.0 s)",  //
                          "",                                                     //
                          "SOURCE     STATE      EVENTS  REJECTED",               //
                          "mqtt:main  connected    1100         0",               //
                          "",                                                     //
                          "LAST EVENTS",                                          //
                          "22:14:20.000  vm-0001  sale  inventory#1100  {}"));
}

TEST_F(WatchScreenTest, NeverIsLargerThanTheTerminal) {
  WatchModel model;
  model.AddSnapshot(Snapshot(1000), 0);
  for (uint64_t i = 0; i < 500; ++i) model.AddEvent(Event(i));
  EXPECT_EQ(model.events().size(), WatchModel::kEvents);
  for (const ScreenSize size : {ScreenSize{40, 10}, ScreenSize{80, 24}, ScreenSize{1, 1}, ScreenSize{200, 60}}) {
    const auto lines = Lines(DrawScreen(model, size, kNowMs, false));
    EXPECT_LE(lines.size(), size.rows);
    for (const auto& line : lines) EXPECT_LE(DisplayWidth(line), size.columns);
  }
  EXPECT_THAT(Lines(DrawScreen(model, {80, 24}, kNowMs, false)).back(), HasSubstr("#499")) << "the newest is last";
}

TEST_F(WatchScreenTest, OnlyOurOwnTerminalCommandsComeThrough) {
  WatchModel model;
  auto status = Snapshot(1);
  auto* warning = status.add_warnings();
  warning->set_code("disk");
  warning->set_text("\x1b]0;owned\x07\n");
  status.mutable_queues(0)->set_name("\x1b[2J");
  model.AddSnapshot(status, 0);
  auto event = Event(1);
  event.set_device_id("\x1b[31m");
  model.AddEvent(event);
  EXPECT_THAT(DrawScreen(model, {200, 50}, kNowMs, false), Not(HasSubstr("\x1b")));
  EXPECT_THAT(DrawScreen(model, {200, 50}, kNowMs, true),
              AllOf(HasSubstr("\x1b[32m"), Not(HasSubstr("\x1b[2J")), Not(HasSubstr("\x1b]"))));
  EXPECT_THAT(DrawLine(model, kNowMs), Not(HasSubstr("\x1b")));
}

TEST_F(WatchScreenTest, ARestartBeginsTheRatesAnew) {
  WatchModel model;
  model.AddSnapshot(Snapshot(1'000'000), 0);
  auto restarted = Snapshot(50);
  restarted.set_epoch("e2");
  model.AddSnapshot(restarted, 1'000'000);
  EXPECT_FALSE(model.has_rates());
  model.AddSnapshot(restarted, 2'000'000);
  EXPECT_TRUE(model.has_rates());
  EXPECT_EQ(model.accepted_rate(), 0);
}

TEST_F(WatchScreenTest, SaysThatTheDaemonIsGoneAndComesBack) {
  WatchModel model;
  model.AddSnapshot(Snapshot(10), 0);
  model.Lost("connection refused on /x\nLook: there");
  EXPECT_THAT(DrawScreen(model, {100, 30}, kNowMs, false),
              AllOf(HasSubstr("connection refused"), HasSubstr("Trying again"), HasSubstr("inventory")));
  EXPECT_THAT(DrawLine(model, kNowMs), AllOf(HasSubstr("connection refused"), Not(HasSubstr("Look"))));
  model.AddSnapshot(Snapshot(20), 1);
  EXPECT_THAT(DrawScreen(model, {100, 30}, kNowMs, false), Not(HasSubstr("refused on")));
}

}  // namespace
}  // namespace sluice::ctl
