// The listener over the real intake and journal: PUBACK and what lies on the disk.
#include <future>

#include "gateway/intake/intake.h"
#include "gateway/journal/journal.h"
#include "tests/devices/native/listener_fixture.h"
#include "tests/fakes/faulty_files.h"

namespace sluice::native {
namespace {

using fakes::MqttPeer;

class ListenerStoreTest : public ListenerSourceFixture {
 protected:
  ListenerStoreTest() { intake_options.gateway = "gw", intake_options.shop = "shop"; }

  void Open(journal::Options options = {}) {
    options.folder = folder / "journal";
    auto opened = journal::Journal::Open(options, "gw", "shop", 1, files, clock, random, nullptr);
    ASSERT_TRUE(opened.ok()) << opened.status();
    journal = *std::move(opened);
    journal->Start(nullptr);
    intake = std::make_unique<intake::Intake>(intake_options, *journal, clock, random, watch, nullptr);
    ASSERT_TRUE(intake->Restore({}).ok());
    intake->Start();
    Start(*intake);
    intake->SetReceiptChannel("listener:shop", source->receipts());
  }
  // As the daemon: everything written becomes safe, then the intake closes, then the sources.
  void CloseDown(bool sync = true) {
    if (sync) {
      EXPECT_TRUE(journal->Sync().ok());
    }
    intake->Shutdown();
    intake->SetReceiptChannel("listener:shop", nullptr);
    source->Stop();
  }
  void TearDown() override {
    if (source != nullptr) CloseDown(false);
    source.reset();
    intake.reset();
    journal.reset();
  }

  fakes::FaultyFiles files;
  intake::Options intake_options;
  intake::ClockWatch watch{clock, Id128{}, 0, [] { return true; }};
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<intake::Intake> intake;
};

TEST_F(ListenerStoreTest, PubackComesAfterTheSync) {
  Open();
  MqttPeer peer = Peer("vm-1");
  for (uint16_t seq = 1; seq <= 100; ++seq) {
    const uint64_t syncs = files.syncs();
    ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(seq), seq));
    ASSERT_EQ(peer.ExpectPuback(), seq);
    EXPECT_GT(files.syncs(), syncs);
  }
  EXPECT_EQ(journal->LastNumber(Queue::kInventory), 100u);
}

TEST_F(ListenerStoreTest, ASlowCardHoldsUpAcknowledgementsAndNothingElse) {
  journal::Options options;
  options.segment_bytes = 64 << 10;
  options.max_record_bytes = 4 << 10;
  config.options.sessions.receive_maximum = 2000;
  Open(options);
  MqttPeer peer = Peer("vm-1");
  std::promise<void> card;
  std::shared_future<void> answers = card.get_future().share();
  files.SetOnSync([answers](const std::string&) {
    answers.wait();
    return absl::OkStatus();
  });
  // More than a segment holds, so that the next one would be begun.
  for (uint16_t seq = 1; seq <= 500; ++seq) ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(seq), seq));
  ASSERT_TRUE(Eventually([&] { return Figure("waiting_for_room") > 0; }));
  EXPECT_TRUE(peer.Ping());
  MqttPeer another = Peer("vm-2");   // comes in, by a password
  EXPECT_TRUE(another.Ping());
  EXPECT_EQ(source->Status().events + Figure("waiting_for_room"), 500u);
  card.set_value();
  for (uint16_t seq = 1; seq <= 500; ++seq) ASSERT_EQ(peer.ExpectPuback(), seq);
  EXPECT_EQ(Figure("waiting_for_room"), 0u);
}

// The loop writes the journal, and a write may take as long as the card likes: for others that is one write, or two, not all
// that one device brings.
TEST_F(ListenerStoreTest, SlowWritesOfOneDeviceDoNotAddUpForOthers) {
  Open();
  MqttPeer peer = Peer("vm-1"), another = Peer("vm-2");
  static constexpr uint16_t kMany = 30;
  static constexpr auto kWrite = std::chrono::milliseconds(100);
  std::promise<void> begun;
  std::once_flag once;
  files.SetOnWrite([&](const std::string&, uint64_t, size_t size) {
    std::call_once(once, [&] { begun.set_value(); });
    std::this_thread::sleep_for(kWrite);
    return static_cast<int64_t>(size);
  });
  for (uint16_t seq = 1; seq <= kMany; ++seq) ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(seq), seq));
  begun.get_future().wait();
  for (int i = 0; i < 3; ++i) {
    const auto asked = std::chrono::steady_clock::now();
    EXPECT_TRUE(another.Ping());
    EXPECT_LT(std::chrono::steady_clock::now() - asked, 8 * kWrite) << i;
  }
  ASSERT_TRUE(another.Publish("sluice/v1/vm-2/sale", Sale(1), 1));
  ASSERT_EQ(another.ExpectPuback(), 1);
  EXPECT_LT(journal->LastNumber(Queue::kInventory), kMany) << "its event had a turn between those of the other";
  for (uint16_t seq = 1; seq <= kMany; ++seq) ASSERT_EQ(peer.ExpectPuback(), seq);
  EXPECT_GT(Figure("paused_turn"), 0u);
  files.SetOnWrite(nullptr);
}

TEST_F(ListenerStoreTest, AFullJournalWithholdsUntilItIsReleased) {
  journal::Options options;
  options.segment_bytes = 64 << 10;
  options.max_record_bytes = 4 << 10;
  options.min_segments = options.max_segments = 2;
  config.options.sessions.receive_maximum = 2000;
  Open(options);
  MqttPeer peer = Peer("vm-1");
  static constexpr uint16_t kMany = 1500;
  std::thread sender([&] {
    for (uint16_t seq = 1; seq <= kMany; ++seq) EXPECT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(seq), seq));
  });
  sender.join();
  // Publishes wait for room while segments are changed, too: only without a segment to change to is it full.
  ASSERT_TRUE(Eventually([&] {
    return !journal->WaitForSpace(0) && source->Status().events + Figure("waiting_for_room") == kMany;
  }));
  EXPECT_GT(Figure("waiting_for_room"), 100u);
  const uint64_t taken = journal->LastNumber(Queue::kInventory);
  for (uint16_t seq = 1; seq <= taken; ++seq) ASSERT_EQ(peer.ExpectPuback(), seq) << "what was taken is safe";
  EXPECT_TRUE(peer.Silent(100)) << "and no more than that is acknowledged";
  uint16_t next = static_cast<uint16_t>(taken + 1);
  while (next <= kMany) {
    journal->Release(journal->epoch().id, Queue::kInventory, journal->LastNumber(Queue::kInventory));
    while (next <= kMany) {
      const uint16_t id = peer.ExpectPuback(500);
      if (id == 0) break;   // full again
      ASSERT_EQ(id, next++);
    }
  }
  EXPECT_EQ(journal->LastNumber(Queue::kInventory), kMany);
}

TEST_F(ListenerStoreTest, ARepetitionIsAcknowledgedAndHasNoSecondRecord) {
  Open();
  {
    MqttPeer peer = Peer("vm-1");
    ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 1));
    ASSERT_TRUE(Eventually([&] { return source->Status().events == 1; }));
    peer.net.Reset();   // the PUBACK did not arrive
  }
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 5, 1, false, true));
  EXPECT_EQ(peer.ExpectPuback(), 5);
  EXPECT_EQ(journal->LastNumber(Queue::kInventory), 1u);
  EXPECT_EQ(intake->figures().duplicates, 1u);
}

TEST_F(ListenerStoreTest, ReceiptsNameWhatIsSafe) {
  Open();
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Subscribe("sluice/v1/vm-1/ack", 1));
  ASSERT_TRUE(peer.Expect<transport::MqttSuback>());
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 2));
  bool acknowledged = false, receipted = false;
  for (int i = 0; i < 2; ++i) {
    const auto packet = peer.Receive();
    ASSERT_TRUE(packet);
    if (const auto* ack = std::get_if<transport::MqttAck>(&*packet)) acknowledged = ack->packet_id == 2;
    if (const auto* receipt = std::get_if<transport::MqttPublish>(&*packet)) {
      receipted = receipt->payload == "{\"boot\":1,\"ranges\":[[1,1]]}";
    }
  }
  EXPECT_TRUE(acknowledged);
  EXPECT_TRUE(receipted);
}

TEST_F(ListenerStoreTest, StoppingAcknowledgesWhatTheLastSyncMadeSafe) {
  Open();
  MqttPeer peer = Peer("vm-1");
  // Telemetry waits 50 ms for company: it is written, and not yet safe, when the stop comes.
  for (uint16_t seq = 1; seq <= 20; ++seq) {
    ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/telemetry", StrCat("{\"boot\":1,\"seq\":", seq, ",\"values\":{\"t\":4}}"), seq));
  }
  ASSERT_TRUE(Eventually([&] { return source->Status().events == 20; }));
  CloseDown();
  for (uint16_t seq = 1; seq <= 20; ++seq) ASSERT_EQ(peer.ExpectPuback(), seq);
  const auto disconnect = peer.Expect<transport::MqttDisconnect>();
  ASSERT_TRUE(disconnect);
  EXPECT_EQ(disconnect->reason, transport::MqttReason::kServerShuttingDown);
}

TEST_F(ListenerStoreTest, NothingIsAcknowledgedThatAFailingDiskDidNotTake) {
  Open();
  MqttPeer peer = Peer("vm-1");
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(1), 1));
  ASSERT_EQ(peer.ExpectPuback(), 1);
  files.SetOnWrite([](const std::string&, uint64_t, size_t) -> int64_t { return -1; });
  ASSERT_TRUE(peer.Publish("sluice/v1/vm-1/sale", Sale(2), 2));
  ASSERT_TRUE(Eventually([&] { return Figure("waiting_for_room") == 1; }));
  EXPECT_TRUE(peer.Silent(300));
  files.SetOnWrite(nullptr);
  EXPECT_EQ(peer.ExpectPuback(), 2);
}

}  // namespace
}  // namespace sluice::native
