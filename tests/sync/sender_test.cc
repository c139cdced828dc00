#include "sync/sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "tests/sync/model_outbox.h"

namespace sluice::sync {
namespace {

constexpr int64_t kSecond = 1'000'000;

class Seen final : public Observer {
 public:
  void OnAlarm(Queue, Alarm alarm, const std::string&) override { alarms.push_back(alarm); }
  void OnDeadLetter(Queue, const EpochId&, uint64_t number, const std::string& reason) override {
    dead_letters.emplace_back(number, reason);
  }
  std::vector<Alarm> alarms;
  std::vector<std::pair<uint64_t, std::string>> dead_letters;
};

class SenderTest : public testing::Test {
 protected:
  explicit SenderTest(Queue queue = Queue::kInventory) : queue_(queue) { Restart({}); }

  void Restart(SenderOptions options) {
    options_ = options;
    sender_ = std::make_unique<Sender>(options, queue_, outbox_, share_, &seen_);
    outbox_.SetWakeup(queue_, [this] { sender_->ItemsAvailable(); });
  }
  void Append(int count, size_t bytes = 20) {
    for (int i = 0; i < count; ++i) {
      EventId id;
      random_.Fill(id.bytes);
      outbox_.Append(queue_, std::string(id.View()) + std::string(bytes, 'x'));
    }
  }
  absl::StatusOr<bool> TryNext() { return sender_->Next(now_, frame_); }
  bool Next() {
    const auto written = TryNext();
    EXPECT_TRUE(written.ok()) << written.status();
    return written.value_or(false);
  }
  // The numbers of the next batch, {0, 0} if there is none now.
  std::pair<uint64_t, uint64_t> NextBatch() {
    if (!Next() || !frame_.has_batch()) return {0, 0};
    return {frame_.batch().items(0).first(), frame_.batch().items(frame_.batch().items_size() - 1).last()};
  }
  v1::Hello Hello() {
    EXPECT_TRUE(sender_->Connected({.gateway = "g1", .shop = "s1", .hardware_id = "h", .software = "s"}, now_).ok());
    EXPECT_TRUE(Next());
    EXPECT_TRUE(frame_.has_hello());
    return frame_.hello();
  }
  // Cursor 0 for every epoch, plenty of credit.
  v1::ServerFrame WelcomeFor(const v1::Hello& hello) {
    v1::ServerFrame frame;
    for (const auto& epoch : hello.epochs()) frame.mutable_welcome()->add_cursors()->set_epoch(epoch.epoch());
    frame.mutable_welcome()->set_generation("g");
    frame.mutable_welcome()->mutable_credit()->set_items(10'000);
    frame.mutable_welcome()->mutable_credit()->set_bytes(10'000'000);
    return frame;
  }
  // The epoch's cursor, with our own event at it.
  void SetCursor(v1::ServerFrame& frame, int index, uint64_t number) {
    v1::EpochCursor* cursor = frame.mutable_welcome()->mutable_cursors(index);
    cursor->set_cursor(number);
    const auto id = outbox_.IdAt(queue_, *EpochId::FromBytes(cursor->epoch()), number);
    if (id) cursor->set_event_id(std::string(id->View()));
  }
  void Stream() {
    const v1::Hello hello = Hello();
    ASSERT_TRUE(sender_->OnFrame(WelcomeFor(hello), now_).ok());
  }
  absl::Status Ack(uint64_t cursor) { return Ack(outbox_.running().id, cursor); }
  absl::Status Ack(const EpochId& epoch, uint64_t cursor) {
    v1::ServerFrame frame;
    frame.mutable_ack()->set_epoch(std::string(epoch.View()));
    frame.mutable_ack()->set_cursor(cursor);
    return sender_->OnFrame(frame, now_);
  }
  absl::Status Refuse(const EpochId& epoch, uint64_t restart_at) {
    v1::ServerFrame frame;
    frame.mutable_refusal()->set_epoch(std::string(epoch.View()));
    frame.mutable_refusal()->set_restart_at(restart_at);
    return sender_->OnFrame(frame, now_);
  }

  const Queue queue_;
  SeededRandom random_{1};
  ModelOutbox outbox_{"g1", "s1", random_};
  LinkShare share_;
  Seen seen_;
  SenderOptions options_;
  std::unique_ptr<Sender> sender_;
  v1::ClientFrame frame_;
  int64_t now_ = kSecond;
};

TEST_F(SenderTest, HelloListsEveryEpochInStartOrderAndNothingElseIsSentBeforeWelcome) {
  Append(3);
  outbox_.SyncAll();
  const EpochId first = outbox_.running().id;
  outbox_.Crash();
  Append(2);
  const v1::Hello hello = Hello();
  ASSERT_EQ(hello.epochs_size(), 2);
  EXPECT_EQ(hello.protocol(), 1u);
  EXPECT_EQ(hello.gateway(), "g1");
  EXPECT_EQ(hello.epochs(0).epoch(), first.View());
  EXPECT_EQ(hello.epochs(0).shop(), "s1");
  EXPECT_EQ(hello.epochs(0).first(), 1u);
  EXPECT_EQ(hello.epochs(0).last(), 3u);
  EXPECT_EQ(hello.epochs(1).epoch(), outbox_.running().id.View());
  EXPECT_EQ(hello.epochs(1).last(), 2u);
  EXPECT_FALSE(Next());
  EXPECT_FALSE(outbox_.link_up(queue_));
}

TEST_F(SenderTest, SendsFromTheCloudsCursorOn) {
  Append(5);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  SetCursor(welcome, 0, 3);
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_TRUE(outbox_.link_up(queue_));
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{4}, uint64_t{5}));
}

TEST_F(SenderTest, SendsAgainWhatARestoredCloudLacksAndNamesWhatIsGone) {
  Append(10);
  outbox_.SyncAll();
  Stream();
  NextBatch();
  ASSERT_TRUE(Ack(10).ok());
  outbox_.Trim(queue_, 4);
  sender_->Disconnected(absl::UnavailableError("restored"), std::nullopt, now_);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(2);
  welcome.mutable_welcome()->set_generation("h");
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{3}, uint64_t{10}));
  EXPECT_EQ(frame_.batch().items(0).last(), 6u);
  EXPECT_EQ(frame_.batch().items(0).gap().reason(), v1::GAP_REASON_BEYOND_REPLAY_WINDOW);
  EXPECT_EQ(sender_->figures().restores, 1u);
}

TEST_F(SenderTest, SendsAtOnceWhenNothingIsInFlightAndPacesOtherwise) {
  Stream();
  Append(1);
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{1}));
  Append(1);
  EXPECT_FALSE(Next());
  EXPECT_EQ(sender_->WakeAtUs(), now_ + options_.pacing.pace_min_us);
  Append(3);
  now_ += options_.pacing.pace_min_us;
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{2}, uint64_t{5}));
  Append(1);
  EXPECT_FALSE(Next());
  ASSERT_TRUE(Ack(5).ok());
  EXPECT_FALSE(Next()) << "a fast cloud is no reason for a frame per event";
  now_ += options_.pacing.pace_min_us;
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{6}, uint64_t{6}));
  ASSERT_TRUE(Ack(6).ok());
  now_ += kSecond;
  Append(1);
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{7}, uint64_t{7})) << "at once";
}

// A cloud that needs 5 ms for each batch, however small, and an event every millisecond.
TEST_F(SenderTest, SendsLessOftenWhereBatchesQueueUpInTheCloud) {
  Stream();
  std::deque<uint64_t> cloud;
  int64_t free_at = now_;
  size_t longest = 0;
  for (int step = 0; step < 40'000; ++step) {
    now_ += 250;
    if (step % 4 == 0) Append(1);
    if (const auto batch = NextBatch(); batch.first != 0) {
      if (cloud.empty()) free_at = now_ + 5'000;
      cloud.push_back(batch.second);
    }
    if (!cloud.empty() && now_ >= free_at) {
      ASSERT_TRUE(Ack(cloud.front()).ok());
      cloud.pop_front();
      free_at = now_ + 5'000;
    }
    if (step > 20'000) longest = std::max(longest, cloud.size());
  }
  EXPECT_LE(longest, 6u) << "without it: hundreds";
  EXPECT_LE(sender_->figures().ack_time_us, 20'000);
}

TEST_F(SenderTest, KeepsManyFullBatchesInFlightWithinTheCredit) {
  Append(4000);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_credit()->set_items(1500);
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{512}));
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{513}, uint64_t{1024}));
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1025}, uint64_t{1500}));
  EXPECT_FALSE(Next());
  EXPECT_EQ(sender_->figures().in_flight_items, 1500u);
  EXPECT_GT(sender_->WakeAtUs(), now_ + kSecond) << "only an acknowledgement opens the window";
  ASSERT_TRUE(Ack(512).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1501}, uint64_t{2012}));
}

TEST_F(SenderTest, CountsBytesAgainstTheCredit) {
  Append(100, 1000);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_credit()->set_bytes(20'000);
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  while (Next()) now_ += 10'000;
  EXPECT_LE(sender_->figures().in_flight_bytes, 20'000u);
  EXPECT_GE(sender_->figures().in_flight_bytes, 9'000u);
}

TEST_F(SenderTest, SendsOneItemWithoutAnyCreditWhenNothingIsInFlight) {
  Append(5);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->clear_credit();
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{1}));
  EXPECT_FALSE(Next());
  ASSERT_TRUE(Ack(1).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{2}, uint64_t{2}));
}

TEST_F(SenderTest, SendsNothingOfANewerEpochBeforeTheOlderIsAcknowledged) {
  Append(2);
  outbox_.SyncAll();
  const EpochId older = outbox_.running().id;
  outbox_.Crash();
  Append(3);
  Stream();
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{2}));
  EXPECT_EQ(frame_.batch().epoch(), older.View());
  now_ += kSecond;
  EXPECT_FALSE(Next());
  ASSERT_TRUE(Ack(older, 1).ok());
  EXPECT_FALSE(Next());
  ASSERT_TRUE(Ack(older, 2).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{3}));
  EXPECT_EQ(frame_.batch().epoch(), outbox_.running().id.View());
}

TEST_F(SenderTest, TakesACursorBeyondAnEarlierEpochAsItsEnd) {
  Append(5);
  outbox_.SyncAll();
  Append(2);
  outbox_.Crash();
  Append(1);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(7);
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{1}));
  EXPECT_EQ(frame_.batch().epoch(), outbox_.running().id.View());
  EXPECT_THAT(seen_.alarms, testing::IsEmpty());
}

TEST_F(SenderTest, RestartsAtTheNumberOfARefusal) {
  Append(1500);
  Stream();
  NextBatch();
  NextBatch();
  ASSERT_TRUE(Ack(100).ok());
  ASSERT_TRUE(Refuse(outbox_.running().id, 101).ok());
  EXPECT_EQ(sender_->figures().in_flight_items, 0u);
  EXPECT_EQ(NextBatch().first, 101u);
}

TEST_F(SenderTest, EndsTheStreamWhenARefusalContradictsWhatWasAcknowledged) {
  Append(10);
  Stream();
  NextBatch();
  ASSERT_TRUE(Ack(10).ok());
  const absl::Status status = Refuse(outbox_.running().id, 5);
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  const StreamEnd end = sender_->Disconnected(status, std::nullopt, now_);
  EXPECT_EQ(end.hint_ms, 1000) << "Welcome tells the truth soon";
  EXPECT_FALSE(end.slow);
}

TEST_F(SenderTest, GivesUpAfterRefusalsWithoutProgress) {
  Append(10);
  Stream();
  for (int i = 0; i < options_.max_refusals_in_a_row; ++i) {
    EXPECT_EQ(NextBatch().first, 1u);
    now_ += options_.pacing.pace_min_us;
    ASSERT_TRUE(Refuse(outbox_.running().id, 1).ok());
  }
  EXPECT_EQ(NextBatch().first, 1u);
  EXPECT_EQ(Refuse(outbox_.running().id, 1).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SenderTest, AlarmsAndDeletesNothingWhenTheCloudAcknowledgesWhatWasNeverSent) {
  Append(1000);
  Stream();
  NextBatch();
  EXPECT_FALSE(Ack(600).ok());
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kAckBeyondSent));
  EXPECT_FALSE(outbox_.EverAcknowledged(queue_, outbox_.running().id, 1));
  EXPECT_TRUE(sender_->Disconnected(absl::OkStatus(), std::nullopt, now_).slow);
}

TEST_F(SenderTest, KeysAnewWhenWelcomeIsBeyondTheRunningEpoch) {
  Append(5);
  outbox_.Acknowledge(queue_, outbox_.running().id, 2);
  const EpochId contested = outbox_.running().id;
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(9);
  EXPECT_FALSE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kAckBeyondSent));
  EXPECT_FALSE(outbox_.EverAcknowledged(queue_, contested, 3));
  EXPECT_NE(outbox_.running().id, contested);
  EXPECT_EQ(outbox_.keyed_anew(), 3u);
}

TEST_F(SenderTest, KeysAnewWhenAnotherEventStandsAtTheCursor) {
  Append(5);
  const EpochId contested = outbox_.running().id;
  outbox_.Acknowledge(queue_, contested, 2);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(4);
  welcome.mutable_welcome()->mutable_cursors(0)->set_event_id(std::string(16, 'c'));
  const absl::Status status = sender_->OnFrame(welcome, now_);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kCloned));
  EXPECT_EQ(sender_->figures().keyed_anew, 1u);
  const StreamEnd end = sender_->Disconnected(status, std::nullopt, now_);
  EXPECT_EQ(end.hint_ms, 1000) << "the next Hello lists the fresh keys, and soon";
  EXPECT_FALSE(end.slow);
  Append(1);
  const v1::Hello hello = Hello();
  ASSERT_EQ(hello.epochs_size(), 3);
  EXPECT_EQ(hello.epochs(0).epoch(), contested.View());
  EXPECT_EQ(hello.epochs(0).last(), 2u);
  EXPECT_EQ(hello.epochs(1).last(), 3u);
  EXPECT_EQ(hello.epochs(2).epoch(), outbox_.running().id.View());
  welcome = WelcomeFor(hello);
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(4);
  welcome.mutable_welcome()->mutable_cursors(0)->set_event_id(std::string(16, 'c'));
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{3}));
  EXPECT_EQ(frame_.batch().epoch(), hello.epochs(1).epoch());
  EXPECT_EQ(seen_.alarms.size(), 1u);
}

TEST_F(SenderTest, KeysAnewOfAnEarlierEpochToo) {
  Append(5);
  outbox_.SyncAll();
  const EpochId earlier = outbox_.running().id;
  outbox_.Crash();
  const EpochId running = outbox_.running().id;
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(4);
  welcome.mutable_welcome()->mutable_cursors(0)->set_event_id(std::string(16, 'c'));
  EXPECT_FALSE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_EQ(outbox_.keyed_anew(), 5u);
  EXPECT_EQ(outbox_.running().id, running);
  EXPECT_NE(Hello().epochs(0).epoch(), earlier.View());
}

TEST_F(SenderTest, KeysAnewWhenAGapStandsWhereWeHoldAnEvent) {
  Append(5);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(4);
  EXPECT_FALSE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kCloned));
  EXPECT_EQ(outbox_.keyed_anew(), 5u);
  // What was acknowledged as a gap once was ours.
  sender_->Disconnected(absl::OkStatus(), std::nullopt, now_);
  const v1::Hello hello = Hello();
  outbox_.Acknowledge(queue_, *EpochId::FromBytes(hello.epochs(0).epoch()), 5);
  sender_->Disconnected(absl::OkStatus(), std::nullopt, now_);
  welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(5);
  EXPECT_TRUE(sender_->OnFrame(welcome, now_).ok());
}

TEST_F(SenderTest, TrustsNothingThatARestoredCloudHasUnderContestedKeys) {
  Append(6);
  Stream();
  NextBatch();
  ASSERT_TRUE(Ack(4).ok());
  sender_->Disconnected(absl::UnavailableError("x"), std::nullopt, now_);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->set_generation("restored");
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(5);
  welcome.mutable_welcome()->mutable_cursors(0)->set_event_id(std::string(16, 'c'));
  EXPECT_FALSE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_EQ(outbox_.keyed_anew(), 6u) << "also what it had acknowledged before";
}

TEST_F(SenderTest, GoesTheSlowWayWhenFreshKeysAreContradictedToo) {
  Append(5);
  for (const bool again : {false, true}) {
    v1::ServerFrame welcome = WelcomeFor(Hello());
    auto* cursor = welcome.mutable_welcome()->mutable_cursors(0);
    cursor->set_cursor(4);
    cursor->set_event_id(std::string(16, 'c'));
    const absl::Status status = sender_->OnFrame(welcome, now_);
    const StreamEnd end = sender_->Disconnected(status, std::nullopt, now_);
    EXPECT_EQ(end.slow, again);
    EXPECT_EQ(end.hint_ms.has_value(), !again);
  }
  Stream();
  NextBatch();
  ASSERT_TRUE(Ack(*EpochId::FromBytes(frame_.batch().epoch()), 5).ok());
  sender_->Disconnected(absl::UnavailableError("x"), std::nullopt, now_);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(5);
  welcome.mutable_welcome()->mutable_cursors(0)->set_event_id(std::string(16, 'd'));
  EXPECT_FALSE(sender_->Disconnected(sender_->OnFrame(welcome, now_), std::nullopt, now_).slow)
      << "an acknowledgement came between";
}

TEST_F(SenderTest, WhatCannotBeKeyedAnewIsNotSent) {
  Append(5);
  const EpochId contested = outbox_.running().id;
  outbox_.FailKeyAnew(true);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_cursors(0)->set_cursor(9);
  const absl::Status status = sender_->OnFrame(welcome, now_);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(sender_->Disconnected(status, std::nullopt, now_).slow);
  EXPECT_EQ(outbox_.running().id, contested);
}

TEST_F(SenderTest, AsksForANewHelloWhenAnotherEpochHasBegun) {
  Append(3);
  Stream();
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{3}));
  const EpochId first = outbox_.running().id;
  ASSERT_TRUE(outbox_.BeginEpoch("s1").ok());
  now_ += kSecond;
  EXPECT_FALSE(Next()) << "nothing has come under the new one";
  Append(1);
  EXPECT_FALSE(Next()) << "the old one is not acknowledged yet";
  ASSERT_TRUE(Ack(first, 3).ok());
  const absl::Status status = TryNext().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(sender_->Disconnected(status, std::nullopt, now_).hint_ms, 0);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  SetCursor(welcome, 0, 3);
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  EXPECT_EQ(NextBatch(), std::pair(uint64_t{1}, uint64_t{1}));
  EXPECT_EQ(frame_.batch().epoch(), outbox_.running().id.View());
}

TEST_F(SenderTest, TellsOnceThatAnotherBoxHoldsTheLease) {
  Append(1);
  const auto refused = [&] {
    Hello();
    v1::ServerFrame goodbye;
    goodbye.mutable_goodbye()->set_retry_after_ms(60'000);
    goodbye.mutable_goodbye()->set_reason("lease: other hardware holds it");
    EXPECT_TRUE(sender_->OnFrame(goodbye, now_).ok());
    return sender_->Disconnected(absl::FailedPreconditionError("lease: other hardware holds it"), std::nullopt, now_);
  };
  for (int i = 0; i < 3; ++i) {
    const StreamEnd end = refused();
    EXPECT_EQ(end.hint_ms, 60'000);
    EXPECT_FALSE(end.slow);
  }
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kLeaseHeld));
  Stream();
  sender_->Disconnected(absl::UnavailableError("x"), std::nullopt, now_);
  refused();
  EXPECT_EQ(seen_.alarms.size(), 2u) << "it was ours in between";
}

TEST_F(SenderTest, AcceptsItsOwnEventAtTheCursor) {
  Append(3);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  SetCursor(welcome, 0, 2);
  EXPECT_TRUE(sender_->OnFrame(welcome, now_).ok());
}

TEST_F(SenderTest, BeginsAnotherEpochWhenATwinTakesTheLeaseAgainAndAgain) {
  Append(4);
  const EpochId contested = outbox_.running().id;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(outbox_.running().id, contested);
    v1::ServerFrame welcome = WelcomeFor(Hello());
    if (i > 0) SetCursor(welcome, 0, 3);
    ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
    NextBatch();
    if (i == 0) {
      ASSERT_TRUE(Ack(3).ok());
    }
    now_ += 200 * kSecond;
    const StreamEnd end = sender_->Disconnected(absl::AbortedError("lease lost"), std::nullopt, now_);
    EXPECT_FALSE(end.slow);
  }
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kCloned));
  EXPECT_NE(outbox_.running().id, contested);
  EXPECT_EQ(Hello().epochs(0).epoch(), contested.View()) << "so that the cloud sees who follows whom";
}

TEST_F(SenderTest, DoesNotSendEpochsOfAnotherGateway) {
  outbox_.AddForeignEpoch(queue_, "g9", 3);
  Append(1);
  const v1::Hello hello = Hello();
  ASSERT_EQ(hello.epochs_size(), 1);
  EXPECT_EQ(hello.epochs(0).epoch(), outbox_.running().id.View());
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kForeignEpoch));
  sender_->Disconnected(absl::OkStatus(), std::nullopt, now_);
  Hello();
  EXPECT_EQ(seen_.alarms.size(), 1u) << "one alarm an epoch";
}

TEST_F(SenderTest, RefusesToSpeakForAnotherGatewaysEpoch) {
  EXPECT_FALSE(sender_->Connected({.gateway = "g2", .shop = "s1"}, now_).ok());
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kForeignEpoch));
}

TEST_F(SenderTest, TellsWhenTheCertificateNamesAnotherShop) {
  EXPECT_TRUE(sender_->Connected({.gateway = "g1", .shop = "s2"}, now_).ok());
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kShopChanged));
}

TEST_F(SenderTest, AlarmsAboutAHoleInsteadOfSkippingIt) {
  Append(5);
  Stream();
  outbox_.Lose(queue_, outbox_.running().id, 1);
  EXPECT_FALSE(TryNext().ok());
  EXPECT_THAT(seen_.alarms, testing::ElementsAre(Alarm::kOutboxHole));
}

TEST_F(SenderTest, RenewsTheLeaseInSilence) {
  Stream();
  EXPECT_FALSE(Next());
  EXPECT_EQ(sender_->WakeAtUs(), now_ + options_.renew_us);
  now_ += options_.renew_us;
  EXPECT_TRUE(Next());
  EXPECT_TRUE(frame_.has_renew());
  EXPECT_FALSE(Next());
}

TEST_F(SenderTest, EndsAStreamThatIsSilent) {
  Append(1);
  Hello();
  now_ += options_.welcome_timeout_us;
  EXPECT_EQ(TryNext().status().code(), absl::StatusCode::kDeadlineExceeded);
  sender_->Disconnected(absl::OkStatus(), std::nullopt, now_);
  Stream();
  EXPECT_EQ(NextBatch().first, 1u);
  now_ += options_.ack_timeout_us;
  EXPECT_EQ(sender_->Overdue(now_).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(SenderTest, HandsOnTheHintOfAGoodbye) {
  Append(1);
  Stream();
  v1::ServerFrame goodbye;
  goodbye.mutable_goodbye()->set_retry_after_ms(7000);
  goodbye.mutable_goodbye()->set_reason("drain");
  ASSERT_TRUE(sender_->OnFrame(goodbye, now_).ok());
  EXPECT_FALSE(Next()) << "nothing more is sent";
  const StreamEnd end = sender_->Disconnected(absl::UnavailableError("x"), 99, now_);
  EXPECT_EQ(end.hint_ms, 7000);
  EXPECT_THAT(std::string(end.status.message()), testing::HasSubstr("drain"));
}

TEST_F(SenderTest, ReportsDeadLetters) {
  Append(2);
  Stream();
  NextBatch();
  v1::ServerFrame frame;
  frame.mutable_ack()->set_epoch(std::string(outbox_.running().id.View()));
  frame.mutable_ack()->set_cursor(2);
  auto* letter = frame.mutable_ack()->add_dead_letters();
  letter->set_number(1);
  letter->set_reason("foreign");
  ASSERT_TRUE(sender_->OnFrame(frame, now_).ok());
  EXPECT_THAT(seen_.dead_letters, testing::ElementsAre(testing::Pair(1u, "foreign")));
  EXPECT_TRUE(outbox_.Drained(queue_)) << "a dead letter counts as applied";
}

TEST_F(SenderTest, ReportsDeadLettersOfALostAckOnce) {
  Append(3);
  outbox_.Acknowledge(queue_, outbox_.running().id, 1);
  v1::ServerFrame frame = WelcomeFor(Hello());
  SetCursor(frame, 0, 3);
  for (const uint64_t number : {1u, 2u}) {
    auto* letter = frame.mutable_welcome()->add_dead_letters();
    letter->set_epoch(std::string(outbox_.running().id.View()));
    letter->set_number(number);
    letter->set_reason("foreign");
  }
  ASSERT_TRUE(sender_->OnFrame(frame, now_).ok());
  EXPECT_THAT(seen_.dead_letters, testing::ElementsAre(testing::Pair(2u, "foreign")));
}

TEST_F(SenderTest, SurvivesFramesOutOfPlace) {
  v1::ServerFrame ack;
  ack.mutable_ack()->set_epoch("short");
  EXPECT_FALSE(sender_->OnFrame(ack, now_).ok());
  Hello();
  EXPECT_FALSE(sender_->OnFrame(ack, now_).ok());
  v1::ServerFrame lacking;
  lacking.mutable_welcome();
  EXPECT_FALSE(sender_->OnFrame(lacking, now_).ok());
  v1::ServerFrame strange;
  strange.mutable_welcome()->add_cursors()->set_epoch(std::string(16, 'z'));
  EXPECT_FALSE(sender_->OnFrame(strange, now_).ok());
  EXPECT_TRUE(sender_->OnFrame(v1::ServerFrame(), now_).ok()) << "of a newer protocol";
}

TEST_F(SenderTest, PassesOnAFailureOfTheOutbox) {
  Append(1);
  Stream();
  outbox_.FailReads(true);
  EXPECT_EQ(TryNext().status().code(), absl::StatusCode::kUnavailable);
}

class BulkSenderTest : public SenderTest {
 protected:
  BulkSenderTest() : SenderTest(Queue::kShopBulk) {}
};

TEST_F(BulkSenderTest, KeepsASecondOfTheLinkInFlightWhileSomethingUrgentWaits) {
  Append(20'000, 1000);
  v1::ServerFrame welcome = WelcomeFor(Hello());
  welcome.mutable_welcome()->mutable_credit()->set_items(1'000'000);
  welcome.mutable_welcome()->mutable_credit()->set_bytes(100'000'000);
  ASSERT_TRUE(sender_->OnFrame(welcome, now_).ok());
  // A link of 100,000 bytes/s, for a minute.
  share_.SetWaiting(Queue::kShopUrgent, true);
  uint64_t acked = 0;
  uint64_t most = 0;
  for (int i = 0; i < 600; ++i) {
    while (Next()) {
    }
    most = i < 300 ? 0 : std::max(most, sender_->figures().in_flight_bytes);
    now_ += 100'000;
    acked = std::min(acked + 10'000 / 1112, sender_->figures().sent_items);
    ASSERT_TRUE(Ack(acked).ok());
  }
  EXPECT_LE(most, 150'000u);
  EXPECT_GE(most, 50'000u);
}

}  // namespace
}  // namespace sluice::sync
