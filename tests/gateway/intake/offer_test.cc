// Offer: an event that is answered only once it is safe (delivery rule R3), without waiting for it.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "base/strings.h"
#include "tests/gateway/intake/intake_fixture.h"

namespace sluice::intake {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class OfferTest : public IntakeFixture {
 protected:
  absl::Status Offer(devices::DecodedEvent& event) {
    return intake->Offer("listener:shop", "sluice/v1/d/sale", event, [this](absl::Status status) {
      ++(status.ok() ? safe : failed);
    });
  }
  absl::Status Offer(devices::DecodedEvent&& event) { return Offer(event); }

  std::atomic<int> safe{0}, failed{0};
};

TEST_F(OfferTest, CompletesOnceTheEventIsSafeAndNotBefore) {
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Offer(Named("vm-1", "a")).ok());
  ASSERT_TRUE(Offer(Sale("vm-1", 0, 0)).ok());
  EXPECT_THAT(journal.items(Queue::kInventory), SizeIs(3));
  EXPECT_EQ(intake->figures().accepted, 3u);
  EXPECT_EQ(safe, 0);
  journal.MakeAllSafe();
  EXPECT_EQ(safe, 3);
  EXPECT_EQ(failed, 0);
}

TEST_F(OfferTest, ADuplicateCompletesWithItsOriginal) {
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Offer(Named("vm-1", "a")).ok());
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Offer(Named("vm-1", "a")).ok());
  EXPECT_THAT(journal.items(), SizeIs(2));
  EXPECT_EQ(safe, 0);
  journal.MakeAllSafe();
  EXPECT_EQ(safe, 4);
}

TEST_F(OfferTest, ADuplicateOfASafeEventCompletesAtOnce) {
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Offer(Named("vm-1", "a")).ok());
  journal.MakeAllSafe();
  ASSERT_TRUE(Offer(Sale("vm-2", 1, 1)).ok());   // another device's is under way
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Offer(Named("vm-1", "a")).ok());
  EXPECT_EQ(safe, 4);
  EXPECT_EQ(intake->figures().duplicates, 2u);
}

TEST_F(OfferTest, ADuplicateUnderAnotherKindWaitsForTheOriginalsQueue) {
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  devices::DecodedEvent status;
  status.event.set_device_id("vm-1");
  status.event.mutable_sequence()->set_boot(7);
  status.event.mutable_sequence()->set_seq(1);
  status.event.mutable_status()->set_state(event::v1::Status::STATE_ONLINE);
  ASSERT_TRUE(Offer(std::move(status)).ok());
  journal.MakeSafe(Queue::kShopBulk);
  EXPECT_EQ(safe, 0);
  journal.MakeSafe(Queue::kInventory);
  EXPECT_EQ(safe, 2);
}

TEST_F(OfferTest, ADuplicateOfWhatARestartFoundInTheJournalCompletesAtOnce) {
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  journal.MakeAllSafe();
  Restart();
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  EXPECT_EQ(safe, 2);
  EXPECT_EQ(intake->figures().duplicates, 1u);
}

TEST_F(OfferTest, ReceiptsGoOutAsForAccept) {
  intake->SetReceiptChannel("listener:shop", &channel);
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  journal.MakeAllSafe();
  EXPECT_TRUE(channel.Await([](const devices::Receipt& r) { return r.ranges == Ranges{{1, 1}}; }));
  intake->SetReceiptChannel("listener:shop", nullptr);
}

TEST_F(OfferTest, WithoutRoomNothingIsTakenAndTheEventMayBeOfferedAgain) {
  journal.Refuse(absl::ResourceExhaustedError("full"));
  auto sale = Sale("vm-1", 7, 1);
  EXPECT_TRUE(absl::IsResourceExhausted(Offer(sale)));
  EXPECT_THAT(journal.items(), SizeIs(0));
  bool room = false;
  intake->WhenRoom([&room] { room = true; });
  EXPECT_EQ(intake->figures().waiting, 1u);
  EXPECT_EQ(intake->figures().space_waits, 1u);
  EXPECT_FALSE(room);
  journal.Refuse(absl::OkStatus());
  EXPECT_EQ(journal.TellOfSpace(), 1u);
  EXPECT_TRUE(room);
  EXPECT_EQ(intake->figures().waiting, 0u);
  ASSERT_TRUE(Offer(sale).ok());
  EXPECT_EQ(intake->figures().duplicates, 0u);
  journal.MakeAllSafe();
  EXPECT_EQ(safe, 1);
  EXPECT_EQ(failed, 0);
}

TEST_F(OfferTest, ADiskThatRefusesAWriteIsNoRoom) {
  journal.Refuse(absl::InternalError("write: I/O error"));
  const absl::Status status = Offer(Sale("vm-1", 7, 1));
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("I/O error"));
}

TEST_F(OfferTest, DoesNotWaitForTheSameDeviceOnAnotherPath) {
  journal.Refuse(absl::ResourceExhaustedError("full"));
  std::thread broker([this] { EXPECT_TRUE(Accept(Sale("vm-1", 7, 1)).ok()); });
  journal.AwaitSpaceWaits(1);   // it holds the device, and waits
  EXPECT_TRUE(absl::IsResourceExhausted(Offer(Sale("vm-1", 7, 2))));
  journal.Refuse(absl::OkStatus());
  broker.join();
  EXPECT_TRUE(Offer(Sale("vm-1", 7, 2)).ok());
}

TEST_F(OfferTest, ARefusedEventIsRecordedAndNotCompleted) {
  auto bad = Sale("vm-1", 7, 3);
  bad.event.mutable_sale()->set_quantity(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(Offer(std::move(bad))));
  auto foreign = Sale("vm-1", 7, 4);
  foreign.event.set_gateway_id("gw-2");
  EXPECT_TRUE(absl::IsPermissionDenied(Offer(std::move(foreign))));
  EXPECT_EQ(intake->figures().rejected, 2u);
  EXPECT_EQ(intake->rejects().ReadAfter(0, 10).at(0).entry.source, "listener:shop");
  journal.MakeAllSafe();
  EXPECT_EQ(safe + failed, 0);
}

TEST_F(OfferTest, NothingIsPromisedWhenTheJournalClosesFirst) {
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  journal.Fail(absl::UnavailableError("closed"));
  EXPECT_EQ(safe, 0);
  EXPECT_EQ(failed, 2);
}

TEST_F(OfferTest, IsUnavailableOnceTheGatewayStops) {
  intake->Shutdown();
  EXPECT_TRUE(absl::IsUnavailable(Offer(Sale("vm-1", 7, 1))));
  Restart();
  journal.Refuse(absl::UnavailableError("the journal is closed"));
  intake->Shutdown();
  EXPECT_TRUE(absl::IsUnavailable(Offer(Sale("vm-1", 7, 1))));
}

TEST_F(OfferTest, CompletionsMayComeAfterTheIntakeIsGone) {
  ASSERT_TRUE(Offer(Sale("vm-1", 7, 1)).ok());
  bool room = false;
  intake->WhenRoom([&room] { room = true; });
  intake.reset();
  journal.MakeAllSafe();
  journal.TellOfSpace();
  EXPECT_EQ(safe, 1);
  EXPECT_TRUE(room);
}

TEST_F(OfferTest, ManyThreadsCompleteEachOfferOnce) {
  static constexpr int kSources = 4, kEvents = 500;
  std::atomic<bool> done{false};
  std::thread syncer([&] {
    while (!done) {
      journal.MakeAllSafe();
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> sources;
  for (int s = 0; s < kSources; ++s) {
    sources.emplace_back([this, s] {
      for (uint64_t seq = 1; seq <= kEvents; ++seq) {
        // Two sources share a device; each number comes twice from each.
        const auto sale = [&] { return Sale(StrCat("vm-", s / 2), 1, seq); };
        for (int time = 0; time < 2; ++time) {
          while (absl::IsResourceExhausted(Offer(sale()))) std::this_thread::yield();
        }
      }
    });
  }
  for (auto& source : sources) source.join();
  done = true;
  syncer.join();
  journal.MakeAllSafe();
  EXPECT_EQ(safe, kSources * kEvents * 2);
  EXPECT_EQ(failed, 0);
  EXPECT_THAT(journal.items(), SizeIs(kSources / 2 * kEvents));
}

}  // namespace
}  // namespace sluice::intake
