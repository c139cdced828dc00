// What operators do with dead letters: list, look, apply again, let go.
#include "cloud/ingest/dead_letters.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cloud/inventory/stock_applier.h"
#include "cloud/serving/dead_letter_service.h"
#include "tests/cloud/fixture.h"

namespace sluice::cloud {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ingest::DeadLetterKey;
using Outcome = ingest::Requeued::Outcome;

constexpr Queue kQueue = Queue::kInventory;
constexpr std::string_view kWho = "operator/ada";

event::v1::DeviceEvent Sale(uint64_t id, uint64_t seq, int64_t quantity = 1) {
  auto event = NewEvent(id, "vm", seq);
  event.mutable_sale()->set_product_id("cola");
  event.mutable_sale()->set_quantity(quantity);
  return event;
}

// Refuses what it is told to, as a program with a fault would.
class PickyApplier final : public ingest::Applier {
 public:
  absl::Status Apply(store::Transaction& transaction, const ingest::Origin& origin,
                     const event::v1::DeviceEvent& event, eventbus::Writer& events) override {
    last = origin;
    const absl::Status status = stock.Apply(transaction, origin, event, events);
    // After the business wrote: what a failure leaves behind would show.
    if (status.ok() && event.sequence().seq() >= refuse_from) return refusal;
    return status;
  }
  absl::Status Flush(store::Transaction& transaction, eventbus::Writer& events) override {
    return stock.Flush(transaction, events);
  }
  void Discard() override { stock.Discard(); }

  uint64_t refuse_from = UINT64_MAX;
  absl::Status refusal = absl::InternalError("constraint failed");
  ingest::Origin last;
  inventory::StockApplier stock;
};

class DeadLettersTest : public ::testing::Test {
 protected:
  // Buries the sales of seq `from` to `to`, numbered alike.
  void Bury(uint64_t from, uint64_t to) {
    applier_.refuse_from = from;
    std::vector<Item> items;
    for (uint64_t i = from; i <= to; ++i) items.push_back(Record(i, Sale(i, i)));
    const auto applied = ingest_.cursors->Apply(lease_, IdOf(1), items);
    ASSERT_OK(applied.status());
    ASSERT_EQ(applied->dead_letters.size(), items.size());
  }
  static DeadLetterKey Key(uint64_t number) {
    return {.gateway = "gw", .queue = kQueue, .epoch = IdOf(1), .number = number};
  }
  ingest::Requeued Requeue(uint64_t number) { return Requeue(Key(number)); }
  ingest::Requeued Requeue(const DeadLetterKey& key) {
    const auto requeued = ingest_.cursors->Requeue(key, kWho);
    EXPECT_OK(requeued.status());
    return requeued.value_or(ingest::Requeued{});
  }
  std::string Count(const std::string& table) { return ingest_.Value("SELECT count(*) FROM " + table); }
  std::string Level() { return ingest_.Value("SELECT level FROM stock_levels WHERE product_id = 'cola'"); }
  std::vector<std::string> Audits() { return ingest_.Rows("SELECT gateway, what, detail FROM audit ORDER BY id", 3); }

  TempFolder folder_;
  PickyApplier applier_;
  Ingest<inventory::StockApplier> ingest_{folder_.path(), inventory::Schema(), &applier_};
  ingest::Lease lease_ = ingest_.OpenStream(kQueue);
};

TEST_F(DeadLettersTest, AnIdNamesWhatTheRecordCameAs) {
  const std::string id = Key(7).ToId();
  EXPECT_EQ(id, "gw/inventory/11000000000000000000000000000001/7");
  const auto parsed = DeadLetterKey::Parse(id);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->ToId(), id);
  for (const char* wrong : {"", "7", "gw/inventory/11000000000000000000000000000001", "gw/inventory/xx/7",
                            "gw/orders/11000000000000000000000000000001/7", "/inventory/11000000000000000000000000000001/7",
                            "gw/inventory/11000000000000000000000000000001/0",
                            "gw/inventory/11000000000000000000000000000001/7x",
                            "gw/inventory/11000000000000000000000000000001/7/8"}) {
    EXPECT_FALSE(DeadLetterKey::Parse(wrong).has_value()) << wrong;
  }
}

TEST_F(DeadLettersTest, WhatIsRequeuedTakesEffectAsWhatItCameAs) {
  Bury(1, 2);
  EXPECT_EQ(Count("effects"), "0");
  const std::string buried = ingest_.Rows("SELECT reason FROM dead_letters", 1).at(0);
  applier_.refuse_from = UINT64_MAX;
  ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {Record(3, Sale(3, 3))}).status());

  EXPECT_EQ(Requeue(1).outcome, Outcome::kApplied);
  EXPECT_EQ(applier_.last.gateway, "gw");
  EXPECT_EQ(applier_.last.shop, "shop-1");
  EXPECT_EQ(applier_.last.epoch.id, IdOf(1));
  EXPECT_EQ(applier_.last.epoch.ordinal, 1u);
  EXPECT_EQ(applier_.last.queue, kQueue);
  EXPECT_EQ(applier_.last.number, 1u);
  EXPECT_THAT(ingest_.Rows("SELECT queue || ' ' || seq FROM effects ORDER BY position", 1),
              ElementsAre("inventory 3", "inventory 1")) << "it comes late";
  EXPECT_EQ(Level(), "-2");
  EXPECT_THAT(ingest_.Rows("SELECT CAST(number AS TEXT) FROM dead_letters", 1), ElementsAre("2"));
  ASSERT_EQ(Audits().size(), 1u);
  EXPECT_THAT(Audits()[0], AllOf(HasSubstr("gw|dead_letter_requeued|operator/ada: gw/inventory/"),
                                 HasSubstr(IdOf(1).ToUuid()), HasSubstr(buried)));
  EXPECT_EQ(ingest_.CursorNow(kQueue), 3u) << "the cursor stays where it was";

  EXPECT_TRUE(absl::IsNotFound(ingest_.cursors->Requeue(Key(1), kWho).status()));
  EXPECT_EQ(Level(), "-2");
  EXPECT_EQ(Audits().size(), 1u);
}

TEST_F(DeadLettersTest, AnEventThatTookEffectMeanwhileHasNoSecondOne) {
  Bury(1, 1);
  applier_.refuse_from = UINT64_MAX;
  ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {Record(2, Sale(1, 1))}).status());
  const std::string bus = Count("bus_outbox");
  EXPECT_EQ(Requeue(1).outcome, Outcome::kApplied);
  EXPECT_EQ(Level(), "-1");
  EXPECT_EQ(Count("bus_outbox"), bus);
  EXPECT_EQ(Count("dead_letters"), "0");
}

TEST_F(DeadLettersTest, WhatIsRefusedAgainStaysWithTheNewReason) {
  Bury(1, 1);
  const std::string at = ingest_.Value("SELECT at_ms FROM dead_letters");
  ingest_.clock.AdvanceMs(1000);
  applier_.refuse_from = UINT64_MAX;
  auto conflicting = Sale(1, 1, 9);
  ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {Record(2, conflicting)}).status());
  const auto refused = Requeue(1);
  EXPECT_EQ(refused.outcome, Outcome::kRefused);
  EXPECT_THAT(refused.reason, HasSubstr("conflict"));
  EXPECT_EQ(Level(), "-9");
  EXPECT_THAT(ingest_.Rows("SELECT reason, CAST(at_ms AS TEXT) FROM dead_letters", 2),
              ElementsAre(refused.reason + "|" + at));
  ASSERT_EQ(Audits().size(), 1u);
  EXPECT_THAT(Audits()[0], AllOf(HasSubstr("dead_letter_refused"), HasSubstr("operator/ada"), HasSubstr("conflict")));
}

TEST_F(DeadLettersTest, APoisonRecordLeavesNothingBehindAndStays) {
  Bury(1, 1);
  applier_.refusal = absl::InternalError("another fault");
  const auto refused = Requeue(1);
  EXPECT_EQ(refused.outcome, Outcome::kRefused);
  EXPECT_THAT(refused.reason, AllOf(HasSubstr("unprocessable"), HasSubstr("another fault")));
  EXPECT_EQ(Count("effects"), "0");
  EXPECT_EQ(Count("bus_outbox"), "0");
  EXPECT_THAT(ingest_.Rows("SELECT reason FROM dead_letters", 1), ElementsAre(refused.reason));

  // What was gathered in memory by the attempt is forgotten too.
  applier_.refuse_from = UINT64_MAX;
  EXPECT_EQ(Requeue(1).outcome, Outcome::kApplied);
  EXPECT_EQ(Level(), "-1");
}

TEST_F(DeadLettersTest, TheStoresFailureIsNoNewReason) {
  Bury(1, 1);
  applier_.refusal = absl::UnavailableError("disk I/O error");
  EXPECT_TRUE(absl::IsUnavailable(ingest_.cursors->Requeue(Key(1), kWho).status()));
  EXPECT_THAT(ingest_.Value("SELECT reason FROM dead_letters"), HasSubstr("constraint failed"));
  EXPECT_THAT(Audits(), IsEmpty());
}

TEST_F(DeadLettersTest, AShopMustBeConfirmedBeforeItsRecordsTakeEffect) {
  const auto foreign = ingest_.cursors->OpenFor("shop-1", "gw", kQueue, "box-1", {Epoch{.id = IdOf(2), .shop = "shop-2"}});
  ASSERT_OK(foreign.status());
  ASSERT_OK(ingest_.cursors->Apply(foreign->lease, IdOf(2), {Record(1, Sale(1, 1))}).status());
  const DeadLetterKey key{.gateway = "gw", .queue = kQueue, .epoch = IdOf(2), .number = 1};
  EXPECT_EQ(Requeue(key).reason, "shop_unknown");
  ASSERT_OK(ingest_.cursors->OpenFor("shop-2", "gw", kQueue, "box-1", {}).status());
  EXPECT_EQ(Requeue(key).outcome, Outcome::kApplied);
  EXPECT_EQ(applier_.last.shop, "shop-2");
}

TEST_F(DeadLettersTest, AKindThatBecameUnknownIsKept) {
  Bury(1, 1);
  // Field 199, a message: a body of tomorrow.
  auto newer = NewEvent(1, "vm", 1);
  newer.clear_sale();
  ASSERT_OK(ingest_.store->Write([&](store::Transaction& transaction) {
    static constexpr store::Sql kReplace{"UPDATE dead_letters SET bytes = ?", "b"};
    return transaction.Run(kReplace, store::Bytes{newer.SerializeAsString() + std::string("\xba\x0c\x00", 3)}).status();
  }));
  EXPECT_EQ(Requeue(1).outcome, Outcome::kKept);
  EXPECT_EQ(Count("dead_letters"), "0");
  EXPECT_THAT(ingest_.Rows("SELECT shop, CAST(number AS TEXT) FROM kept_records", 2), ElementsAre("shop-1|1"));
}

TEST_F(DeadLettersTest, ADropIsInTheAuditWithWhoWhatAndWhy) {
  Bury(1, 2);
  ingest::v1::DropDeadLetterRequest request;
  request.set_id(Key(1).ToId());
  EXPECT_TRUE(absl::IsInvalidArgument(serving::DropDeadLetter(*ingest_.cursors, request, kWho))) << "no reason";
  request.set_reason("the machine was a demo");
  ASSERT_OK(serving::DropDeadLetter(*ingest_.cursors, request, kWho));
  EXPECT_THAT(ingest_.Rows("SELECT CAST(number AS TEXT) FROM dead_letters", 1), ElementsAre("2"));
  ASSERT_EQ(Audits().size(), 1u);
  EXPECT_THAT(Audits()[0], AllOf(HasSubstr("gw|dead_letter_dropped|operator/ada"), HasSubstr(Key(1).ToId()),
                                 HasSubstr("the machine was a demo"), HasSubstr(IdOf(1).ToUuid()),
                                 HasSubstr("constraint failed")));
  EXPECT_TRUE(absl::IsNotFound(serving::DropDeadLetter(*ingest_.cursors, request, kWho)));
  EXPECT_EQ(Count("effects"), "0");
}

TEST_F(DeadLettersTest, PagesOldestFirstAndWithinBytes) {
  ingest_.clock.AdvanceMs(5000);
  Bury(1, 3);
  ingest_.clock.AdvanceMs(-2000);   // somebody set the clock back
  Bury(4, 5);
  const auto numbers = [&](size_t limit, size_t max_bytes) {
    std::vector<std::string> pages;
    ingest::DeadLetterQuery query{.limit = limit, .max_bytes = max_bytes};
    for (;;) {
      const auto page = ingest::ListDeadLetters(*ingest_.store, query);
      EXPECT_OK(page.status());
      std::string& text = pages.emplace_back();
      for (const auto& letter : page->letters) text += StrCat(letter.key.number);
      if (page->next.empty()) return pages;
      query.after = page->next;
    }
  };
  EXPECT_THAT(numbers(2, 1 << 20), ElementsAre("45", "12", "3"));
  EXPECT_THAT(numbers(5, 1 << 20), ElementsAre("45123"));
  EXPECT_THAT(numbers(5, 1), ElementsAre("4", "5", "1", "2", "3")) << "one that is too large comes alone";
  EXPECT_EQ(ingest::ListDeadLetters(*ingest_.store, {.gateway = "gw-2"})->letters.size(), 0u);
  EXPECT_EQ(ingest::ListDeadLetters(*ingest_.store, {.gateway = "gw", .queue = "inventory"})->letters.size(), 5u);
  EXPECT_EQ(ingest::ListDeadLetters(*ingest_.store, {.queue = "attendance"})->letters.size(), 0u);
  EXPECT_TRUE(absl::IsInvalidArgument(ingest::ListDeadLetters(*ingest_.store, {.after = "x"}).status()));
}

TEST_F(DeadLettersTest, TheServiceShowsBytesAndWhatTheySay) {
  Bury(1, 1);
  Item garbage;
  garbage.first = garbage.last = 2;
  garbage.bytes = "\xff\xff no event";
  ASSERT_OK(ingest_.cursors->Apply(lease_, IdOf(1), {garbage}).status());

  ingest::v1::ListDeadLettersRequest request;
  request.set_page_size(1);
  ingest::v1::ListDeadLettersResponse page;
  ASSERT_OK(serving::ListDeadLetters(*ingest_.store, request, page));
  ASSERT_EQ(page.dead_letters_size(), 1);
  const auto& letter = page.dead_letters(0);
  EXPECT_EQ(letter.id(), Key(1).ToId());
  EXPECT_EQ(letter.gateway_id(), "gw");
  EXPECT_EQ(letter.shop_id(), "shop-1");
  EXPECT_EQ(letter.queue(), "inventory");
  EXPECT_EQ(letter.event_id(), IdOf(1).ToUuid());
  EXPECT_EQ(letter.device_id(), "vm");
  EXPECT_EQ(letter.kind(), "sale");
  request.set_page_token(page.next_page_token());
  ingest::v1::ListDeadLettersResponse rest;
  ASSERT_OK(serving::ListDeadLetters(*ingest_.store, request, rest));
  ASSERT_EQ(rest.dead_letters_size(), 1);
  EXPECT_EQ(rest.dead_letters(0).event_id(), "");
  EXPECT_EQ(rest.dead_letters(0).size(), garbage.bytes.size());
  EXPECT_EQ(rest.next_page_token(), "");

  ingest::v1::GetDeadLetterResponse sale, nothing;
  ASSERT_OK(serving::GetDeadLetter(*ingest_.store, Key(1).ToId(), sale));
  EXPECT_EQ(sale.record(), Sale(1, 1).SerializeAsString());
  EXPECT_EQ(nlohmann::json::parse(sale.event_json())["sale"]["product_id"], "cola");
  ASSERT_OK(serving::GetDeadLetter(*ingest_.store, Key(2).ToId(), nothing));
  EXPECT_EQ(nothing.record(), garbage.bytes);
  EXPECT_EQ(nothing.event_json(), "");
  EXPECT_TRUE(absl::IsNotFound(serving::GetDeadLetter(*ingest_.store, Key(3).ToId(), sale)));
  EXPECT_TRUE(absl::IsInvalidArgument(serving::GetDeadLetter(*ingest_.store, "3", sale)));
}

}  // namespace
}  // namespace sluice::cloud
