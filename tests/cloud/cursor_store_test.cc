// Delivery rule R8 over SQLite: what takes effect, what is skipped, refused, lost, buried, kept.
#include <gmock/gmock.h>

#include "cloud/inventory/inventory_service.h"
#include "cloud/inventory/stock_applier.h"
#include "tests/cloud/fixture.h"

namespace sluice::cloud {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Queue kQueue = Queue::kInventory;

event::v1::DeviceEvent Sale(uint64_t id, uint64_t seq, int64_t quantity = 1, const std::string& product = "cola") {
  auto event = NewEvent(id, "vm", seq);
  event.mutable_sale()->set_product_id(product);
  event.mutable_sale()->set_quantity(quantity);
  return event;
}

// Fails as told before it does the business.
class FailingApplier final : public ingest::Applier {
 public:
  absl::Status Apply(store::Transaction& transaction, const ingest::Origin& origin,
                     const event::v1::DeviceEvent& event, eventbus::Writer& events) override {
    if (event.sequence().seq() == poison) {
      ++failures;
      if (failures <= fail_times) return failure;
    }
    return stock.Apply(transaction, origin, event, events);
  }
  absl::Status Flush(store::Transaction& transaction, eventbus::Writer& events) override {
    return stock.Flush(transaction, events);
  }
  void Discard() override { stock.Discard(); }

  uint64_t poison = 0;
  int failures = 0;
  int fail_times = 1'000'000;
  absl::Status failure = absl::InternalError("constraint failed");
  inventory::StockApplier stock;
};

class CursorStoreTest : public ::testing::Test {
 protected:
  absl::StatusOr<ingest::Applied> Apply(const std::vector<Item>& items) {
    return ingest_.cursors->Apply(lease_, IdOf(1), items);
  }
  std::string Count(const std::string& table) { return ingest_.Value("SELECT count(*) FROM " + table); }
  std::string Level() { return ingest_.Value("SELECT level FROM stock_levels WHERE product_id = 'cola'"); }

  TempFolder folder_;
  FailingApplier applier_;
  Ingest<inventory::StockApplier> ingest_{folder_.path(), inventory::Schema(), &applier_};
  ingest::Lease lease_ = ingest_.OpenStream(kQueue);
};

TEST_F(CursorStoreTest, AppliesInOrderAndMovesTheCursor) {
  const auto applied = Apply({Record(1, Sale(1, 1)), Record(2, Sale(2, 2))});
  ASSERT_OK(applied.status());
  EXPECT_EQ(applied->cursor, 2u);
  EXPECT_EQ(Level(), "-2");
  EXPECT_THAT(ingest_.Rows("SELECT queue || ' ' || device_id || ' ' || boot || ' ' || seq || ' ' || kind FROM effects "
                           "ORDER BY position", 1),
              ElementsAre("inventory vm 7 1 sale", "inventory vm 7 2 sale"));
}

TEST_F(CursorStoreTest, SkipsWhatTookEffectBefore) {
  ASSERT_OK(Apply({Record(1, Sale(1, 1)), Record(2, Sale(2, 2))}).status());
  const auto again = Apply({Record(1, Sale(1, 1)), Record(2, Sale(2, 2)), Record(3, Sale(3, 3))});
  ASSERT_OK(again.status());
  EXPECT_EQ(again->cursor, 3u);
  EXPECT_EQ(Level(), "-3");
  EXPECT_EQ(ingest_.cursors->figures().skipped, 2u);
}

TEST_F(CursorStoreTest, StopsAtWhatIsMissing) {
  ASSERT_OK(Apply({Record(1, Sale(1, 1))}).status());
  const auto applied = Apply({Record(3, Sale(3, 3))});
  EXPECT_EQ(applied.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(MessageOf(applied.status())), HasSubstr("2"));
  EXPECT_EQ(Count("stock_movements"), "1");
}

TEST_F(CursorStoreTest, RecordsOnlyTheLossAboveTheCursor) {
  ASSERT_OK(Apply({Record(1, Sale(1, 1)), Record(2, Sale(2, 2))}).status());
  const auto applied = Apply({Gap(1, 9), Record(10, Sale(10, 10))});
  ASSERT_OK(applied.status());
  EXPECT_EQ(applied->cursor, 10u);
  EXPECT_THAT(ingest_.Rows("SELECT first || '-' || last || ' ' || reason FROM losses", 1), ElementsAre("3-9 quota"));
}

TEST_F(CursorStoreTest, TheCursorNamesTheEventAtItAndNoneAtAGap) {
  ASSERT_OK(Apply({Record(1, Sale(77, 1))}).status());
  auto opening = ingest_.cursors->OpenFor("shop-1", "gw", kQueue, "box-1", {Epoch{.id = IdOf(1), .shop = "shop-1"}});
  ASSERT_OK(opening.status());
  EXPECT_EQ(opening->cursors[0].event_id, IdOf(77));
  ASSERT_OK(ingest_.cursors->Apply(opening->lease, IdOf(1), {Gap(2, 3)}).status());
  opening = ingest_.cursors->OpenFor("shop-1", "gw", kQueue, "box-1", {Epoch{.id = IdOf(1), .shop = "shop-1"}});
  EXPECT_EQ(opening->cursors[0].number, 3u);
  EXPECT_TRUE(opening->cursors[0].event_id.IsZero());
}

TEST_F(CursorStoreTest, ARepeatUnderAnotherNumberHasNoSecondEffectAndNoSecondEvent) {
  ASSERT_OK(Apply({Record(1, Sale(1, 1))}).status());
  const std::string bus = Count("bus_outbox");
  const auto applied = Apply({Record(2, Sale(1, 1))});
  ASSERT_OK(applied.status());
  EXPECT_THAT(applied->dead_letters, IsEmpty());
  EXPECT_EQ(applied->cursor, 2u);
  EXPECT_EQ(Level(), "-1");
  EXPECT_EQ(Count("bus_outbox"), bus);
}

TEST_F(CursorStoreTest, OneIdWithTwoContentsIsADeadLetterAndAnAlarm) {
  ASSERT_OK(Apply({Record(1, Sale(1, 1))}).status());
  auto other_time = Sale(1, 1);
  other_time.set_device_time_ms(1'600'000'000'000);
  auto refill = NewEvent(1, "vm", 1);
  refill.mutable_refill()->set_product_id("cola");
  refill.mutable_refill()->set_quantity(1);
  const auto applied = Apply({Record(2, Sale(1, 1, 5)), Record(3, other_time), Record(4, refill)});
  ASSERT_OK(applied.status());
  EXPECT_EQ(applied->cursor, 4u);
  EXPECT_EQ(applied->dead_letters.size(), 3u);
  EXPECT_THAT(applied->dead_letters[0].reason, HasSubstr("conflict"));
  EXPECT_EQ(ingest_.cursors->figures().conflicts, 3u);
  EXPECT_EQ(Level(), "-1");
}

TEST_F(CursorStoreTest, OneIdInTwoTablesIsADeadLetterToo) {
  const auto price_change = [](uint64_t id) {
    auto event = NewEvent(id, "vm", id);
    event.mutable_price_change()->set_product_id("cola");
    event.mutable_price_change()->mutable_price()->set_minor_units(150);
    return event;
  };
  ASSERT_OK(Apply({Record(1, Sale(1, 1)), Record(2, price_change(2))}).status());
  const std::string bus = Count("bus_outbox");
  const auto applied = Apply({Record(3, price_change(1)), Record(4, Sale(2, 2))});
  ASSERT_OK(applied.status());
  ASSERT_EQ(applied->dead_letters.size(), 2u);
  EXPECT_THAT(applied->dead_letters[0].reason, HasSubstr("conflict"));
  EXPECT_EQ(Count("effects"), "2");
  EXPECT_EQ(Count("bus_outbox"), bus) << "two events of the bus would have one eventId";
  EXPECT_EQ(Level(), "-1");
}

TEST_F(CursorStoreTest, OpeningNamesTheDeadLettersOfTheEpochsAsked) {
  ASSERT_OK(Apply({Record(1, Sale(1, 1)), Record(2, Sale(1, 1, 5)), Record(3, Sale(3, 3))}).status());
  const auto opened = [&](uint64_t epoch) {
    return ingest_.cursors->OpenFor("shop-1", "gw", kQueue, "box-1", {Epoch{.id = IdOf(epoch), .shop = "shop-1"}});
  };
  const auto opening = opened(1);
  ASSERT_OK(opening.status());
  ASSERT_EQ(opening->dead_letters.size(), 1u);
  EXPECT_EQ(opening->dead_letters[0].epoch, IdOf(1));
  EXPECT_EQ(opening->dead_letters[0].number, 2u);
  EXPECT_THAT(opening->dead_letters[0].reason, HasSubstr("conflict"));
  EXPECT_THAT(opened(9)->dead_letters, IsEmpty());
}

TEST_F(CursorStoreTest, TheReceiveTimeIsNoContent) {
  ASSERT_OK(Apply({Record(1, Sale(1, 1))}).status());
  auto later = Sale(1, 1);
  later.set_received_time_ms(1'700'000'999'000);
  const auto applied = Apply({Record(2, later)});
  ASSERT_OK(applied.status());
  EXPECT_THAT(applied->dead_letters, IsEmpty());
}

TEST_F(CursorStoreTest, WhatCanNeverBeAcceptedIsBuriedWithItsBytes) {
  auto foreign_gateway = Sale(1, 1), foreign_shop = Sale(2, 2), no_id = Sale(3, 3), device = Sale(4, 4),
       none = Sale(5, 5, 0), nul = Sale(6, 6, 1, std::string("a\0b", 3)), punch = NewEvent(7, "vm", 7);
  foreign_gateway.set_gateway_id("other");
  foreign_shop.set_shop_id("other");
  no_id.set_event_id("short");
  device.set_device_id("../etc");
  punch.mutable_punch()->set_user("42");
  Item garbage;
  garbage.first = garbage.last = 8;
  garbage.bytes = std::string("\x0A\xFF\x00garbage", 10);
  auto empty = NewEvent(9, "vm", 9);
  auto utf8 = Sale(10, 10, 1, "x");
  Item bad_text = Record(10, utf8);
  bad_text.bytes[bad_text.bytes.rfind('x')] = '\xFF';
  const auto applied =
      Apply({Record(1, foreign_gateway), Record(2, foreign_shop), Record(3, no_id), Record(4, device), Record(5, none),
             Record(6, nul), Record(7, punch), garbage, Record(9, empty), bad_text, Record(11, Sale(11, 11))});
  ASSERT_OK(applied.status());
  EXPECT_EQ(applied->cursor, 11u);
  ASSERT_EQ(applied->dead_letters.size(), 10u);
  EXPECT_THAT(applied->dead_letters[0].reason, HasSubstr("foreign"));
  EXPECT_THAT(applied->dead_letters[1].reason, HasSubstr("foreign"));
  EXPECT_THAT(applied->dead_letters[7].reason, HasSubstr("undecodable"));
  EXPECT_EQ(Level(), "-1");
  EXPECT_EQ(Count("audit WHERE what = 'foreign'"), "2");
  EXPECT_EQ(ingest_.Value("SELECT hex(bytes) FROM dead_letters WHERE number = 8"), "0AFF0067617262616765");
}

TEST_F(CursorStoreTest, AnEpochOfAShopThatNoCertificateNamedIsBuried) {
  lease_ = ingest_.OpenStream(kQueue, "box-1", "shop-2");
  const auto applied = Apply({Record(1, Sale(1, 1))});
  ASSERT_OK(applied.status());
  ASSERT_EQ(applied->dead_letters.size(), 1u);
  EXPECT_EQ(applied->dead_letters[0].reason, "shop_unknown");
}

TEST_F(CursorStoreTest, AnUnknownKindIsKeptAndAppliedAfterTheUpgrade) {
  // A newer gateway's kind, field 31, in an event that this program reads without a body.
  auto newer = NewEvent(5, "vm", 5);
  Item item = Record(1, newer);
  item.bytes += std::string("\xFA\x01\x02\x08\x01", 5);
  ASSERT_OK(Apply({item, Record(2, Sale(2, 2))}).status());
  EXPECT_EQ(Count("kept_records"), "1");
  ingest_.Reopen();
  EXPECT_EQ(Count("kept_records"), "1") << "still unknown";
  // As if the kept bytes were of a kind that this program has learned since.
  ASSERT_OK(ingest_.store->Write([](store::Transaction& transaction) {
    static constexpr store::Sql kUpdate{"UPDATE kept_records SET bytes = ?", "b"};
    return transaction.Run(kUpdate, store::Bytes{Sale(5, 5, 4).SerializeAsString()}).status();
  }));
  ingest_.Reopen();
  EXPECT_EQ(Count("kept_records"), "0");
  EXPECT_EQ(Level(), "-5");
}

TEST_F(CursorStoreTest, ClockFixesAreTakenOnEveryQueue) {
  event::v1::DeviceEvent fix;
  fix.set_event_id(std::string(IdOf(1).View()));
  fix.mutable_clock_fix()->set_boot_id(std::string(16, 'b'));
  fix.mutable_clock_fix()->set_offset_ms(1'700'000'000'000);
  ASSERT_OK(Apply({Record(1, fix)}).status());
  EXPECT_EQ(ingest_.Value("SELECT offset_ms FROM clock_fixes"), "1700000000000");
  EXPECT_EQ(Count("effects"), "0");
}

TEST_F(CursorStoreTest, APoisonRecordIsBuriedAloneAfterFiveTries) {
  applier_.poison = 2;
  const auto applied = Apply({Record(1, Sale(1, 1)), Record(2, Sale(2, 2)), Record(3, Sale(3, 3))});
  ASSERT_OK(applied.status());
  EXPECT_EQ(applied->cursor, 3u);
  ASSERT_EQ(applied->dead_letters.size(), 1u);
  EXPECT_EQ(applied->dead_letters[0].number, 2u);
  EXPECT_THAT(applied->dead_letters[0].reason, HasSubstr("unprocessable"));
  EXPECT_EQ(applier_.failures, 6);
  EXPECT_EQ(Level(), "-2");
}

// The gateway compares what stands at the cursor with its own: a dead letter must not look like a gap.
TEST_F(CursorStoreTest, ADeadLetterAtTheCursorIsNamed) {
  applier_.poison = 2;
  ASSERT_OK(Apply({Record(1, Sale(1, 1)), Record(2, Sale(2, 2))}).status());
  EXPECT_EQ(ingest_.Value("SELECT event_id FROM cursors"), IdOf(2).ToHex());
}

TEST_F(CursorStoreTest, ARecordThatRecoversIsApplied) {
  applier_.poison = 2;
  applier_.fail_times = 3;
  const auto applied = Apply({Record(1, Sale(1, 1)), Record(2, Sale(2, 2)), Record(3, Sale(3, 3))});
  ASSERT_OK(applied.status());
  EXPECT_THAT(applied->dead_letters, IsEmpty());
  EXPECT_EQ(Level(), "-3");
}

TEST_F(CursorStoreTest, TheStoresOwnFailureIsNeverARecordsFault) {
  for (const auto& failure : {absl::UnavailableError("busy"), absl::ResourceExhaustedError("disk full"),
                              absl::DataLossError("corrupt")}) {
    applier_.poison = 1;
    applier_.failure = failure;
    EXPECT_EQ(Apply({Record(1, Sale(1, 1))}).status().code(), failure.code());
  }
  EXPECT_EQ(Count("dead_letters"), "0");
  EXPECT_EQ(Count("bus_outbox"), "0");
  applier_.poison = 0;
  EXPECT_OK(Apply({Record(1, Sale(1, 1))}).status());
  EXPECT_EQ(Level(), "-1");
}

TEST_F(CursorStoreTest, CursorsAndEffectsOutliveTheProcess) {
  ASSERT_OK(Apply({Record(1, Sale(1, 1)), Record(2, Sale(2, 2))}).status());
  ingest_.Reopen();
  EXPECT_EQ(ingest_.CursorNow(kQueue), 2u);
  lease_ = ingest_.OpenStream(kQueue);
  ASSERT_OK(Apply({Record(3, Sale(3, 3))}).status());
  EXPECT_EQ(Level(), "-3");
  EXPECT_EQ(ingest_.Value("SELECT count(DISTINCT position) FROM effects"), "3");
}

TEST_F(CursorStoreTest, ARestoreShowsANewGeneration) {
  auto before = ingest_.cursors->OpenFor("shop-1", "gw", kQueue, "box-1", {});
  ingest_.Reopen();
  auto reopened = ingest_.cursors->OpenFor("shop-1", "gw", kQueue, "box-1", {});
  EXPECT_EQ(before->generation, reopened->generation);
  ASSERT_OK(ingest_.cursors->NewGeneration());
  auto after = ingest_.cursors->OpenFor("shop-1", "gw", kQueue, "box-1", {});
  EXPECT_NE(before->generation, after->generation);
}

TEST_F(CursorStoreTest, StockIsRefilledSoldAndCounted) {
  auto refill = NewEvent(1, "vm", 1), count = NewEvent(3, "vm", 3), price = NewEvent(4, "vm", 4),
       selection = NewEvent(5, "vm", 5);
  refill.mutable_refill()->set_product_id("cola");
  refill.mutable_refill()->set_quantity(10);
  count.mutable_stock_count()->set_product_id("cola");
  count.mutable_stock_count()->set_level(4);
  price.mutable_price_change()->set_product_id("cola");
  price.mutable_price_change()->mutable_price()->set_minor_units(199);
  price.mutable_price_change()->mutable_price()->set_currency("EUR");
  selection.mutable_sale()->set_selection("A1");
  selection.mutable_sale()->set_quantity(1);
  ASSERT_OK(Apply({Record(1, refill), Record(2, Sale(2, 2, 3)), Record(3, count), Record(4, price),
                   Record(5, selection)})
                .status());
  EXPECT_THAT(ingest_.Rows("SELECT product_id || ' ' || change || ' ' || level FROM stock_movements ORDER BY position", 1),
              ElementsAre("cola 10 10", "cola -3 7", "cola -3 4", "device:vm/selection:A1 -1 -1"));
  EXPECT_EQ(ingest_.Value("SELECT minor_units FROM price_changes"), "199");
  EXPECT_EQ(Count("effects"), "5");
  EXPECT_THAT(ingest_.Rows("SELECT event_type FROM bus_outbox ORDER BY position", 1),
              ElementsAre("StockUpdated", "DeviceDataReceived", "StockUpdated", "DeviceDataReceived", "StockUpdated",
                          "DeviceDataReceived", "DeviceDataReceived", "StockUpdated", "DeviceDataReceived"));
}

TEST_F(CursorStoreTest, PagesByKeyWithinTheLimits) {
  std::vector<Item> items;
  for (uint64_t i = 1; i <= 1'205; ++i) items.push_back(Record(i, Sale(i, i, 1, StrCat("product/", i))));
  ASSERT_OK(Apply(items).status());
  inventory::v1::GetStockRequest request;
  size_t seen = 0, pages = 0;
  for (request.set_page_size(5'000);; ++pages) {
    inventory::v1::GetStockResponse response;
    ASSERT_OK(inventory::GetStock(*ingest_.store, request, response));
    EXPECT_LE(response.levels_size(), 1'000);
    seen += static_cast<size_t>(response.levels_size());
    if (response.next_page_token().empty()) break;
    request.set_page_token(response.next_page_token());
  }
  EXPECT_EQ(seen, 1'205u);
  EXPECT_EQ(pages, 1u);
  inventory::v1::GetStockResponse first;
  ASSERT_OK(inventory::GetStock(*ingest_.store, {}, first));
  EXPECT_EQ(first.levels_size(), 100);
  request.set_page_token("%%%");
  EXPECT_EQ(inventory::GetStock(*ingest_.store, request, first).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice::cloud
