#include "gateway/daemon/warning_rules.h"

#include <gmock/gmock.h>

#include <functional>

namespace sluice::daemon {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class WarningRulesTest : public ::testing::Test {
 protected:
  std::vector<std::string> Standing() const {
    std::vector<std::string> codes;
    for (const health::Warning& warning : warnings_.List()) codes.push_back(warning.code);
    return codes;
  }
  std::string TextOf(const std::string& code) const {
    for (const health::Warning& warning : warnings_.List()) {
      if (warning.code == code) return warning.text;
    }
    return "";
  }
  void Pass(int64_t ms) { clock_.AdvanceMs(ms); }

  ManualClock clock_;
  health::Counters counters_;
  health::Warnings warnings_{clock_, counters_};
  WarningRules rules_{warnings_, clock_};
};

TEST_F(WarningRulesTest, AHealthyGatewayHasNone) {
  rules_.OnStart({}, {});
  rules_.OnTick({});
  EXPECT_THAT(Standing(), IsEmpty());
}

TEST_F(WarningRulesTest, ACertificateThatIsNotAcceptedIsNoCloudThatIsDown) {
  using Kind = sync::TlsVerdict::Kind;
  const auto link = [](Queue queue, const std::string& address, Kind certificates, const std::string& detail) {
    sync::QueueStatus status;
    status.queue = queue;
    status.address = address;
    status.certificates = certificates;
    status.detail = detail;
    return status;
  };
  rules_.OnTick({.links = {link(Queue::kInventory, "a:1", Kind::kNothing, "UNAVAILABLE: connection refused")}});
  EXPECT_THAT(Standing(), IsEmpty());
  rules_.OnTick({.links = {link(Queue::kInventory, "a:1", Kind::kOursRefused, "alert: unknown ca"),
                           link(Queue::kShopBulk, "b:2", Kind::kOursRefused, "alert: unknown ca"),
                           link(Queue::kShopUrgent, "b:2", Kind::kOursRefused, "alert: unknown ca"),
                           link(Queue::kAttendance, "c:3", Kind::kTheirsNotBelieved, "self-signed")}});
  EXPECT_THAT(Standing(), UnorderedElementsAre("certificate_refused", "cloud_not_believed"));
  EXPECT_THAT(TextOf("certificate_refused"), HasSubstr("a:1: alert: unknown ca; b:2: alert: unknown ca. "));
  EXPECT_THAT(TextOf("certificate_refused"), HasSubstr("issued anew"));
  EXPECT_THAT(TextOf("cloud_not_believed"), HasSubstr("c:3: self-signed. "));
  rules_.OnTick({});
  EXPECT_THAT(Standing(), IsEmpty());
  EXPECT_EQ(counters_.Values()["warning_certificate_refused"], 1);
}

TEST_F(WarningRulesTest, TheQuotaIsToldInStepsOneAtATime) {
  const std::map<int64_t, std::string> steps = {{0, ""},
                                                {69, ""},
                                                {70, "outbox_70_percent"},
                                                {84, "outbox_70_percent"},
                                                {85, "outbox_85_percent"},
                                                {94, "outbox_85_percent"},
                                                {95, "outbox_95_percent"},
                                                {100, "outbox_95_percent"}};
  const auto look = [&](int64_t percent, const std::string& code) {
    rules_.OnTick({.outbox = {{"used_percent", percent}}});
    EXPECT_EQ(Standing(), code.empty() ? std::vector<std::string>{} : std::vector<std::string>{code}) << percent;
  };
  for (const auto& [percent, code] : steps) look(percent, code);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) look(step->first, step->second);
  EXPECT_EQ(counters_.Values()["warning_outbox_85_percent"], 2);
}

TEST_F(WarningRulesTest, AStateIsWarnedOfWhileItLasts) {
  const std::vector<std::pair<std::string, std::function<void(Readings&)>>> states = {
      {"clock_fix_waits", [](Readings& now) { now.clock_fix = absl::ResourceExhaustedError("no room"); }},
      {"clock_unset", [](Readings& now) { now.clock_unset = true; }},
      {"intake_backpressure", [](Readings& now) { now.intake.waiting = 1; }},
      {"outbox_not_written", [](Readings& now) { now.outbox["writes_failing"] = 1; }},
  };
  for (const auto& [code, set] : states) {
    Readings wrong;
    set(wrong);
    for (int round = 0; round < 2; ++round) {
      rules_.OnTick(wrong);
      EXPECT_THAT(Standing(), UnorderedElementsAre(code));
      Pass(2 * WarningRules::kHappeningStandsMs);
      rules_.OnTick(wrong);
      EXPECT_THAT(Standing(), UnorderedElementsAre(code));
      rules_.OnTick({});
      EXPECT_THAT(Standing(), IsEmpty()) << code;
    }
  }
}

TEST_F(WarningRulesTest, CriticalEventsWaitForRoomOnlyWhileThereIsNone) {
  rules_.OnTick({.outbox = {{"critical_waits_for_room", 3}, {"used_percent", 96}}});
  EXPECT_THAT(Standing(), UnorderedElementsAre("critical_waits_for_room", "outbox_95_percent"));
  rules_.OnTick({.outbox = {{"critical_waits_for_room", 3}, {"used_percent", 10}}});
  EXPECT_THAT(Standing(), IsEmpty());
}

TEST_F(WarningRulesTest, WhatHappenedStandsForADayAfterTheLastTime) {
  const std::vector<std::pair<std::string, std::function<void(Readings&, int)>>> happenings = {
      {"bulk_dropped", [](Readings& now, int count) { now.outbox["dropped_bulk"] = count; }},
      {"events_lost", [](Readings& now, int count) { now.outbox["gaps_declared"] = count; }},
      {"beyond_replay_window", [](Readings& now, int count) { now.outbox["beyond_replay_window"] = count; }},
      {"epoch_not_begun", [](Readings& now, int count) { now.outbox["epochs_not_begun"] = count; }},
      {"journal_sync_failed", [](Readings& now, int count) { now.journal.sync_failures = count; }},
      {"store_set_aside",
       [](Readings& now, int count) { now.set_aside.assign(count, "outbox.db.bad-1"); }},
  };
  Readings now;
  for (const auto& [code, set] : happenings) {
    set(now, 1);
    rules_.OnTick(now);
    EXPECT_THAT(Standing(), UnorderedElementsAre(code));
    Pass(WarningRules::kHappeningStandsMs - 1);
    set(now, 2);
    rules_.OnTick(now);
    Pass(WarningRules::kHappeningStandsMs - 1);
    rules_.OnTick(now);
    EXPECT_THAT(Standing(), UnorderedElementsAre(code)) << "from the last time on";
    Pass(1);
    rules_.OnTick(now);
    EXPECT_THAT(Standing(), IsEmpty()) << code;
  }
}

TEST_F(WarningRulesTest, ADayIsNotByTheWallClock) {
  rules_.Happened("bulk_dropped", "");
  clock_.JumpWallMs(10LL * 365 * 86'400'000);
  rules_.OnTick({});
  EXPECT_THAT(Standing(), UnorderedElementsAre("bulk_dropped"));
  clock_.JumpWallMs(-20LL * 365 * 86'400'000);
  Pass(WarningRules::kHappeningStandsMs);
  rules_.OnTick({});
  EXPECT_THAT(Standing(), IsEmpty());
}

TEST_F(WarningRulesTest, WhatTheStartFoundIsToldByName) {
  journal::Found found;
  found.clean_stop = false;
  found.segments = {{"000001.seg", 7, absl::DataLossError("bad checksum")}, {"000002.seg", 8, absl::OkStatus()}};
  rules_.OnStart(found, {.journal_missing = true, .foreign = 2});
  EXPECT_THAT(Standing(),
              UnorderedElementsAre("foreign_epochs", "journal_damaged", "journal_missing", "unclean_stop"));
  EXPECT_THAT(TextOf("journal_damaged"), HasSubstr("000001.seg: bad checksum"));
  Pass(WarningRules::kHappeningStandsMs);
  rules_.OnTick({});
  EXPECT_THAT(Standing(), UnorderedElementsAre("foreign_epochs")) << "they are still there";
}

TEST_F(WarningRulesTest, ATroubleOfASourceStandsWhileTheSourceTellsOfIt) {
  rules_.OnTick({.troubles = {{"mqtt:main", {}}, {"listener:shop", {{"files", "server.pem: junk"}, {"store_full", "full"}}}}});
  EXPECT_THAT(Standing(), UnorderedElementsAre("listener_shop_files", "listener_shop_store_full"));
  EXPECT_THAT(TextOf("listener_shop_files"), HasSubstr("server.pem: junk"));
  rules_.OnTick({.troubles = {{"listener:shop", {{"store_full", "full"}}}, {"listener:other", {{"files", "x"}}}}});
  EXPECT_THAT(Standing(), UnorderedElementsAre("listener_shop_store_full", "listener_other_files"));
  rules_.OnTick({});
  EXPECT_THAT(Standing(), IsEmpty());
}

TEST_F(WarningRulesTest, AStoreThatIsSetAsideLaterIsToldToo) {
  rules_.OnTick({.outbox = {{"salvaged_rows", 10}}, .set_aside = {"outbox.db.bad-1"}});
  EXPECT_THAT(TextOf("store_set_aside"), HasSubstr("outbox.db.bad-1; 10 records"));
  rules_.OnTick({.outbox = {{"salvaged_rows", 25}}, .set_aside = {"outbox.db.bad-1", "outbox.db.bad-2"}});
  EXPECT_THAT(TextOf("store_set_aside"), HasSubstr("outbox.db.bad-2; 25 records"));
}

}  // namespace
}  // namespace sluice::daemon
