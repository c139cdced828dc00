#include "cloud/ingest/receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cloud/ingest/plan.h"
#include "tests/sync/model_store.h"

namespace sluice::ingest {
namespace {

namespace wire = sync::v1;
using testing::HasSubstr;

const std::string kOlder(16, 'a');
const std::string kRunning(16, 'b');

class ReceiverTest : public testing::Test {
 protected:
  ReceiverTest() {
    options_.queues = {Queue::kInventory};
    Restart();
  }
  void Restart() {
    receiver_ = std::make_unique<Receiver>(options_, Peer{.gateway = "g1", .shop = "s1"}, store_, clock_);
  }
  static wire::ClientFrame Hello() {
    wire::ClientFrame frame;
    wire::Hello* hello = frame.mutable_hello();
    hello->set_protocol(1);
    hello->set_queue(wire::QUEUE_INVENTORY);
    hello->set_gateway("g1");
    hello->set_hardware_id("box-1");
    AddEpoch(hello, kRunning, 0, 0);
    return frame;
  }
  static void AddEpoch(wire::Hello* hello, const std::string& id, uint64_t first, uint64_t last) {
    wire::HeldEpoch* epoch = hello->add_epochs();
    epoch->set_epoch(id);
    epoch->set_shop("s1");
    epoch->set_first(first);
    epoch->set_last(last);
  }
  static wire::ClientFrame Batch(uint64_t first, uint64_t last, const std::string& epoch = kRunning) {
    wire::ClientFrame frame;
    frame.mutable_batch()->set_epoch(epoch);
    for (uint64_t number = first; number <= last; ++number) {
      wire::Item* item = frame.mutable_batch()->add_items();
      item->set_first(number);
      item->set_last(number);
      item->set_event(std::string(16, static_cast<char>('0' + number % 10)));
    }
    return frame;
  }
  Reply Send(const wire::ClientFrame& frame) { return receiver_->OnFrames({frame}); }
  void Welcome() { ASSERT_FALSE(Send(Hello()).close); }
  void ExpectClosed(const Reply& reply, absl::StatusCode code, const std::string& text) {
    ASSERT_TRUE(reply.close);
    EXPECT_EQ(reply.close->code(), code) << *reply.close;
    EXPECT_THAT(std::string(reply.close->message()), HasSubstr(text));
  }

  ManualClock clock_;
  SeededRandom random_{1};
  sync::ModelStore store_{random_};
  ReceiverOptions options_;
  std::unique_ptr<Receiver> receiver_;
};

TEST_F(ReceiverTest, WelcomesWithTheCursorOfEachEpoch) {
  store_.SetCursor("g1", Queue::kInventory, *EpochId::FromBytes(kOlder), 7, *EventId::FromBytes(std::string(16, 'e')));
  wire::ClientFrame hello = Hello();
  hello.mutable_hello()->clear_epochs();
  AddEpoch(hello.mutable_hello(), kOlder, 1, 9);
  AddEpoch(hello.mutable_hello(), kRunning, 0, 0);
  const Reply reply = Send(hello);
  ASSERT_FALSE(reply.close);
  ASSERT_EQ(reply.frames.size(), 1u);
  const wire::Welcome& welcome = reply.frames[0].welcome();
  ASSERT_EQ(welcome.cursors_size(), 2);
  EXPECT_EQ(welcome.cursors(0).cursor(), 7u);
  EXPECT_EQ(welcome.cursors(0).event_id(), std::string(16, 'e'));
  EXPECT_EQ(welcome.cursors(1).cursor(), 0u);
  EXPECT_EQ(welcome.cursors(1).event_id(), "");
  EXPECT_EQ(welcome.credit().items(), options_.credit_items);
  EXPECT_EQ(welcome.generation().size(), 16u);
  EXPECT_EQ(welcome.server_time_ms(), clock_.WallMs());
  EXPECT_TRUE(receiver_->welcomed());
}

TEST_F(ReceiverTest, BelievesTheCertificateAboutTheGateway) {
  for (const char* name : {"g2", "g11", "g", "G1"}) {   // the whole name, not a part of it
    SCOPED_TRACE(name);
    Restart();
    wire::ClientFrame hello = Hello();
    hello.mutable_hello()->set_gateway(name);
    ExpectClosed(Send(hello), absl::StatusCode::kPermissionDenied, "hello.gateway");
  }
}

TEST_F(ReceiverTest, NamesTheFieldOfAMalformedHello) {
  const auto expect = [&](const std::string& field, const std::function<void(wire::Hello*)>& spoil) {
    Restart();
    wire::ClientFrame frame = Hello();
    spoil(frame.mutable_hello());
    ExpectClosed(Send(frame), absl::StatusCode::kInvalidArgument, field);
  };
  expect("hello.protocol", [](auto* hello) { hello->set_protocol(2); });
  expect("hello.queue", [](auto* hello) { hello->set_queue(wire::QUEUE_UNSPECIFIED); });
  expect("hello.queue", [](auto* hello) { hello->set_queue(static_cast<wire::Queue>(99)); });
  expect("attendance is not served", [](auto* hello) { hello->set_queue(wire::QUEUE_ATTENDANCE); });
  expect("hello.hardware_id", [](auto* hello) { hello->clear_hardware_id(); });
  expect("hello.hardware_id", [](auto* hello) { hello->set_hardware_id(std::string(257, 'h')); });
  expect("hello.software", [](auto* hello) { hello->set_software(std::string(257, 'h')); });
  expect("hello.epochs", [](auto* hello) { hello->clear_epochs(); });
  expect("hello.epochs.epoch", [](auto* hello) { hello->mutable_epochs(0)->set_epoch("short"); });
  expect("hello.epochs.epoch", [](auto* hello) { hello->mutable_epochs(0)->set_epoch(std::string(16, '\0')); });
  expect("listed twice", [](auto* hello) { AddEpoch(hello, kRunning, 0, 0); });
  expect("hello.epochs.shop", [](auto* hello) { hello->mutable_epochs(0)->clear_shop(); });
  expect("first 5 is above last 4", [](auto* hello) { AddEpoch(hello, kOlder, 5, 4); });
  expect("too large", [](auto* hello) { AddEpoch(hello, kOlder, 1, UINT64_MAX); });
  options_.max_epochs = 1;
  expect("at most 1", [](auto* hello) { AddEpoch(hello, kOlder, 1, 1); });
}

TEST_F(ReceiverTest, WantsHelloFirstAndOnce) {
  ExpectClosed(Send(Batch(1, 1)), absl::StatusCode::kInvalidArgument, "the first must be Hello");
  Restart();
  ExpectClosed(Send(wire::ClientFrame()), absl::StatusCode::kInvalidArgument, "the first must be Hello");
  Restart();
  Welcome();
  ExpectClosed(Send(Hello()), absl::StatusCode::kInvalidArgument, "second Hello");
  EXPECT_TRUE(Send(Batch(1, 1)).frames.empty()) << "closed";
}

TEST_F(ReceiverTest, NamesTheFieldOfAMalformedBatch) {
  const auto expect = [&](const std::string& field, const std::function<void(wire::Batch*)>& spoil) {
    Restart();
    Welcome();
    wire::ClientFrame frame = Batch(1, 2);
    spoil(frame.mutable_batch());
    ExpectClosed(Send(frame), absl::StatusCode::kInvalidArgument, field);
  };
  expect("batch.epoch: 3 bytes", [](auto* batch) { batch->set_epoch("abc"); });
  expect("not among the epochs", [](auto* batch) { batch->set_epoch(kOlder); });
  expect("batch.items: empty", [](auto* batch) { batch->clear_items(); });
  expect("first is 0", [](auto* batch) { batch->mutable_items(0)->set_first(0); });
  expect("first 2 is above last 1", [](auto* batch) { batch->mutable_items(0)->set_first(2); });
  expect("neither event nor gap", [](auto* batch) { batch->mutable_items(0)->clear_event(); });
  expect("a record has one number", [](auto* batch) { batch->mutable_items(1)->set_last(5); });
  expect("follows", [](auto* batch) {
    batch->mutable_items(1)->set_first(4);
    batch->mutable_items(1)->set_last(4);
  });
  expect("gap.reason", [](auto* batch) { batch->mutable_items(1)->mutable_gap(); });
  expect("too large", [](auto* batch) {
    batch->mutable_items(1)->mutable_gap()->set_reason(wire::GAP_REASON_QUOTA);
    batch->mutable_items(1)->set_last(UINT64_MAX);
  });
  EXPECT_TRUE(store_.effects().empty());
}

TEST_F(ReceiverTest, AppliesThenAcknowledgesCumulatively) {
  Welcome();
  Reply reply = Send(Batch(1, 3));
  ASSERT_EQ(reply.frames.size(), 1u);
  EXPECT_EQ(reply.frames[0].ack().epoch(), kRunning);
  EXPECT_EQ(reply.frames[0].ack().cursor(), 3u);
  EXPECT_EQ(reply.frames[0].ack().credit().bytes(), options_.credit_bytes);
  EXPECT_EQ(store_.effects().size(), 3u);
  receiver_->SetCredit(5, 6);
  reply = Send(Batch(4, 4));
  EXPECT_EQ(reply.frames[0].ack().cursor(), 4u);
  EXPECT_EQ(reply.frames[0].ack().credit().items(), 5u);
}

TEST_F(ReceiverTest, AcknowledgesWhatCameBeforeWithoutASecondEffect) {
  Welcome();
  Send(Batch(1, 3));
  const Reply reply = Send(Batch(2, 5));
  EXPECT_EQ(reply.frames[0].ack().cursor(), 5u);
  EXPECT_EQ(store_.effects().size(), 5u);
}

TEST_F(ReceiverTest, SharesOneTransactionBetweenBatchesThatContinueEachOther) {
  Welcome();
  const Reply reply = receiver_->OnFrames({Batch(1, 3), Batch(4, 6), Batch(7, 9)});
  ASSERT_EQ(reply.frames.size(), 1u);
  EXPECT_EQ(reply.frames[0].ack().cursor(), 9u);
  EXPECT_EQ(store_.applies(), 1u);
}

TEST_F(ReceiverTest, BoundsATransaction) {
  options_.apply_max_items = 5;
  Restart();
  Welcome();
  const Reply reply = receiver_->OnFrames({Batch(1, 3), Batch(4, 6), Batch(7, 9)});
  EXPECT_EQ(reply.frames.size(), 3u);
  EXPECT_EQ(store_.applies(), 3u);
}

TEST_F(ReceiverTest, RefusesAHoleAndIgnoresTheStreamUntilItRestartsThere) {
  Welcome();
  Send(Batch(1, 2));
  Reply reply = receiver_->OnFrames({Batch(5, 6), Batch(7, 8)});
  ASSERT_FALSE(reply.close);
  ASSERT_EQ(reply.frames.size(), 1u);
  EXPECT_EQ(reply.frames[0].refusal().restart_at(), 3u);
  EXPECT_TRUE(Send(Batch(9, 9)).frames.empty());
  reply = receiver_->OnFrames({Batch(10, 10), Batch(3, 4), Batch(5, 5)});
  ASSERT_EQ(reply.frames.size(), 1u);
  EXPECT_EQ(reply.frames[0].ack().cursor(), 5u);
  EXPECT_EQ(store_.effects().size(), 5u);
}

TEST_F(ReceiverTest, TakesADeclaredGapOverTheCursor) {
  Welcome();
  Send(Batch(1, 2));
  wire::ClientFrame frame;
  frame.mutable_batch()->set_epoch(kRunning);
  wire::Item* item = frame.mutable_batch()->add_items();
  item->set_first(2);
  item->set_last(9);
  item->mutable_gap()->set_reason(wire::GAP_REASON_QUOTA);
  EXPECT_EQ(Send(frame).frames[0].ack().cursor(), 9u);
  ASSERT_EQ(store_.losses().size(), 1u);
  EXPECT_EQ(store_.losses()[0].first, 3u) << "only what lies above the cursor";
  EXPECT_EQ(store_.losses()[0].reason, GapReason::kQuota);
}

TEST_F(ReceiverTest, WantsTheOlderEpochToItsEndBeforeTheNewer) {
  wire::ClientFrame hello = Hello();
  hello.mutable_hello()->clear_epochs();
  AddEpoch(hello.mutable_hello(), kOlder, 1, 2);
  AddEpoch(hello.mutable_hello(), kRunning, 1, 5);
  ASSERT_FALSE(Send(hello).close);
  Reply reply = Send(Batch(1, 1));
  EXPECT_EQ(reply.frames[0].refusal().epoch(), kOlder);
  EXPECT_EQ(reply.frames[0].refusal().restart_at(), 1u);
  reply = receiver_->OnFrames({Batch(1, 2, kOlder), Batch(1, 5)});
  ASSERT_EQ(reply.frames.size(), 2u);
  EXPECT_EQ(reply.frames[0].ack().epoch(), kOlder);
  EXPECT_EQ(reply.frames[1].ack().cursor(), 5u);
}

TEST_F(ReceiverTest, NamesDeadLettersInTheAck) {
  store_.SetPoison([](const std::string& payload) { return payload[0] == '2'; });
  Welcome();
  const Reply reply = Send(Batch(1, 3));
  EXPECT_EQ(reply.frames[0].ack().cursor(), 3u);
  ASSERT_EQ(reply.frames[0].ack().dead_letters_size(), 1);
  EXPECT_EQ(reply.frames[0].ack().dead_letters(0).number(), 2u);
}

TEST_F(ReceiverTest, NamesDeadLettersOfWhatIsHeldInTheWelcome) {
  store_.SetPoison([](const std::string& payload) { return payload[0] == '1' || payload[0] == '3'; });
  Welcome();
  Send(Batch(1, 3));
  // The ack was lost; 1 is held no more.
  Restart();
  wire::ClientFrame hello = Hello();
  hello.mutable_hello()->mutable_epochs(0)->set_first(2);
  hello.mutable_hello()->mutable_epochs(0)->set_last(3);
  const Reply reply = Send(hello);
  ASSERT_EQ(reply.frames[0].welcome().dead_letters_size(), 1);
  EXPECT_EQ(reply.frames[0].welcome().dead_letters(0).epoch(), kRunning);
  EXPECT_EQ(reply.frames[0].welcome().dead_letters(0).number(), 3u);
  EXPECT_EQ(reply.frames[0].welcome().dead_letters(0).reason(), "unprocessable");
}

TEST_F(ReceiverTest, SaysGoodbyeWithAHintWhenTheStoreFails) {
  Welcome();
  store_.FailNext(1);
  Reply reply = Send(Batch(1, 3));
  ASSERT_EQ(reply.frames.size(), 1u);
  EXPECT_EQ(reply.frames[0].goodbye().retry_after_ms(), options_.store_retry_ms);
  ExpectClosed(reply, absl::StatusCode::kUnavailable, "model store fails");
  Restart();
  store_.FailNext(1);
  reply = Send(Hello());
  ExpectClosed(reply, absl::StatusCode::kUnavailable, "model store fails");
  EXPECT_EQ(reply.frames[0].goodbye().retry_after_ms(), options_.store_retry_ms);
}

TEST_F(ReceiverTest, ClosesAZombieWhoseLeaseIsGone) {
  Welcome();
  Receiver newer(options_, Peer{.gateway = "g1", .shop = "s1"}, store_, clock_);
  ASSERT_FALSE(newer.OnFrames({Hello()}).close) << "the same hardware takes over at once";
  ExpectClosed(Send(Batch(1, 1)), absl::StatusCode::kAborted, "lease lost");
  EXPECT_TRUE(store_.effects().empty());
}

TEST_F(ReceiverTest, LetsOtherHardwareWaitForTheLease) {
  Welcome();
  Receiver other(options_, Peer{.gateway = "g1", .shop = "s1"}, store_, clock_);
  wire::ClientFrame hello = Hello();
  hello.mutable_hello()->set_hardware_id("box-2");
  const Reply reply = other.OnFrames({hello});
  ExpectClosed(reply, absl::StatusCode::kFailedPrecondition, "held by other hardware");
  EXPECT_EQ(reply.frames[0].goodbye().retry_after_ms(), options_.lease_retry_ms);
  EXPECT_FALSE(Send(Batch(1, 1)).close) << "the first is not disturbed";
}

TEST_F(ReceiverTest, RenewsItsLease) {
  Welcome();
  wire::ClientFrame renew;
  renew.mutable_renew();
  EXPECT_FALSE(Send(renew).close);
  store_.ExpireLeases();
  ExpectClosed(Send(renew), absl::StatusCode::kAborted, "lease lost");
}

TEST_F(ReceiverTest, ReleasesTheLeaseAtACleanEndOnly) {
  Welcome();
  receiver_->OnEnd(false);
  EXPECT_TRUE(store_.leased("g1", Queue::kInventory));
  Restart();
  Welcome();
  receiver_->OnEnd(true);
  EXPECT_FALSE(store_.leased("g1", Queue::kInventory));
}

TEST_F(ReceiverTest, AsksForANewHelloWhenTheCursorMovedUnderIt) {
  Welcome();
  Send(Batch(1, 5));
  store_.SetCursor("g1", Queue::kInventory, *EpochId::FromBytes(kRunning), 2, {});
  const Reply reply = Send(Batch(6, 6));
  ExpectClosed(reply, absl::StatusCode::kAborted, "cursor moved");
  EXPECT_GT(reply.frames[0].goodbye().retry_after_ms(), 0);
}

TEST_F(ReceiverTest, AcknowledgesWhatCameBeforeAMalformedFrame) {
  Welcome();
  const Reply reply = receiver_->OnFrames({Batch(1, 2), wire::ClientFrame()});
  ASSERT_EQ(reply.frames.size(), 1u);
  EXPECT_EQ(reply.frames[0].ack().cursor(), 2u);
  ExpectClosed(reply, absl::StatusCode::kInvalidArgument, "frame");
}

}  // namespace
}  // namespace sluice::ingest
