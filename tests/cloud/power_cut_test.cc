// The cloud's store on a disk whose power goes at any moment (delivery rule R8): what was acknowledged is there afterwards, each
// event took effect exactly once with its rows for the bus, and what is sent again has no second effect. Creation, migration and
// checkpoints included.
//
// SLUICE_POWER_CUTS: how many disk images are tried (2,000). SLUICE_SEED: the first workload's seed; a failure names the seed of
// its own, and the same seed does the same again.
#include <sqlite3.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "cloud/inventory/inventory_service.h"
#include "cloud/inventory/stock_applier.h"
#include "tests/cloud/fixture.h"
#include "tests/fakes/recorded_disk.h"
#include "tests/fakes/recorded_vfs.h"

namespace sluice::cloud {
namespace {

constexpr Queue kQueue = Queue::kInventory;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// What the gateway has, by number from 1 on; it never changes.
struct Sent {
  std::vector<Item> items;
  struct Meaning {
    uint64_t event = 0;      // its id; 0: no effect
    size_t bus_rows = 0;
    bool buried = false;
  };
  std::vector<Meaning> meanings;
};

// What is promised at a moment.
struct Promise {
  uint64_t cursor = 0;       // acknowledged, or named by a Welcome
  uint64_t old_rows = 0;     // that an earlier version of the program had committed
};

struct Mark {
  enum class Kind { kCursor, kOldRow } kind;
  uint64_t value = 0;
};

void Keep(const Mark& mark, Promise& promise) {
  uint64_t& kept = mark.kind == Mark::Kind::kCursor ? promise.cursor : promise.old_rows;
  kept = std::max(kept, mark.value);
}

struct Counts {
  uint64_t starts = 0, applied = 0, repeated = 0, checkpoints = 0, migrations = 0;
};

// The lock of the database is a real file; the database is on the recorded disk.
const std::string& Folder() {
  static const TempFolder folder;
  return folder.path();
}

class Session {
 public:
  Session(Sent& sent, Promise promise, fakes::DiskImage image, uint64_t seed, Counts& counts)
      : sent_(sent),
        promise_at_start_(promise),
        promise_(promise),
        disk_(std::move(image), seed + 1),
        dice_(seed),
        counts_(counts) {}

  // A start on whatever is there, the check, some batches, the end.
  void Live(int batches, bool kill) {
    const fakes::RecordedVfs vfs(Folder(), disk_);
    {
      Ingest<inventory::StockApplier> ingest(Folder(), inventory::Schema());
      ++counts_.starts;
      if (!testing::Test::HasFailure()) Check(ingest);
      if (!testing::Test::HasFailure()) Work(ingest, batches);
      disk_.SetDead(kill);
    }
    disk_.SetDead(false);
  }

  // As a program of an earlier version, whose schema ended there.
  void LiveAsOlder(int writes, bool kill) {
    const fakes::RecordedVfs vfs(Folder(), disk_);
    {
      std::vector<store::Component> components = {eventbus::Schema(), ingest::Schema()};
      for (store::Component& component : components) component.migrations.resize(1);
      auto store = store::Store::Open({.path = Folder() + "/service.db"}, components);
      ASSERT_OK(store.status());
      static constexpr store::Sql kInsert{
          "INSERT INTO leases(gateway, queue, token, hardware, expires_ms) VALUES(?, 'inventory', '', ?, 0)", "tt"};
      for (int i = 0; i < writes; ++i) {
        const uint64_t next = promise_.old_rows + 1;
        ASSERT_OK((*store)->Write([&](store::Transaction& transaction) {
          return transaction.Run(kInsert, StrCat("old-", next), std::string(dice_.Below(3000), 'x')).status();
        }));
        Note({Mark::Kind::kOldRow, next});
        if (dice_.Below(8) == 0) {
          ASSERT_OK((*store)->CheckpointWhenIdle());
        }
      }
      disk_.SetDead(kill);
    }
    disk_.SetDead(false);
  }

  const fakes::RecordedDisk& disk() const { return disk_; }
  const std::vector<Mark>& marks() const { return marks_; }
  const Promise& promise_at_start() const { return promise_at_start_; }

 private:
  void Note(Mark mark) {
    Keep(mark, promise_);
    marks_.push_back(mark);
    disk_.Mark(marks_.size() - 1);
  }

  // What the gateway will send next. Some of it comes twice under two numbers, some can never be accepted, some is lost.
  void Grow() {
    const uint64_t number = sent_.items.size() + 1;
    Sent::Meaning meaning{.event = number, .bus_rows = 2};
    auto event = NewEvent(number, StrCat("vm-", number % 3), number);
    switch (dice_.Below(10)) {
      case 0:
        event.mutable_price_change()->set_product_id("cola");
        event.mutable_price_change()->mutable_price()->set_minor_units(static_cast<int64_t>(number));
        meaning.bus_rows = 1;
        break;
      case 1:
        event.mutable_refill()->set_product_id("cola");
        event.mutable_refill()->set_quantity(10);
        break;
      case 2:
        sent_.items.push_back(Gap(number, number));
        sent_.meanings.push_back({});
        return;
      case 3:
        event.set_gateway_id("another");
        event.mutable_sale()->set_product_id("cola");
        meaning = {.buried = true};
        break;
      case 4:
        if (number > 1) {
          // The device sent it again, and the gateway did not know.
          const uint64_t other = 1 + dice_.Below(number - 1);
          sent_.items.push_back(sent_.items[other - 1]);
          sent_.items.back().first = sent_.items.back().last = number;
          sent_.meanings.push_back(sent_.meanings[other - 1]);
          return;
        }
        [[fallthrough]];
      default:
        event.mutable_sale()->set_product_id(StrCat("product ", number % 7));
        event.mutable_sale()->set_quantity(static_cast<int64_t>(1 + number % 3));
    }
    sent_.items.push_back(Record(number, event));
    sent_.meanings.push_back(meaning);
  }

  void Work(Ingest<inventory::StockApplier>& ingest, int batches) {
    const uint64_t begun_at = ingest.CursorNow(kQueue);
    ingest::Lease lease = ingest.OpenStream(kQueue);
    // A Welcome has named it: the gateway sees it as acknowledged.
    Note({Mark::Kind::kCursor, begun_at});
    uint64_t cursor = begun_at;
    for (int i = 0; i < batches && !testing::Test::HasFailure(); ++i) {
      if (dice_.Below(8) == 0) {
        ASSERT_OK(ingest.store->CheckpointWhenIdle());
        ++counts_.checkpoints;
      }
      // Mostly what comes next; some of what took effect, as after a lost ack.
      const uint64_t from = 1 + cursor - (dice_.Below(4) == 0 ? dice_.Below(std::min<uint64_t>(cursor, 20) + 1) : 0);
      const uint64_t through = cursor + 1 + dice_.Below(dice_.Below(16) == 0 ? 100 : 8);
      while (sent_.items.size() < through) Grow();
      const std::vector<Item> batch(sent_.items.begin() + static_cast<std::ptrdiff_t>(from) - 1,
                                    sent_.items.begin() + static_cast<std::ptrdiff_t>(through));
      const auto applied = ingest.cursors->Apply(lease, IdOf(1), batch);
      ASSERT_OK(applied.status());
      ASSERT_EQ(applied->cursor, through);
      Note({Mark::Kind::kCursor, applied->cursor});
      counts_.applied += through - cursor;
      counts_.repeated += cursor + 1 - from;
      cursor = through;
    }
    if (!testing::Test::HasFailure()) Check(ingest);
  }

  void Check(Ingest<inventory::StockApplier>& ingest) {
    const std::string number = ingest.Value("SELECT coalesce(max(number), 0) FROM cursors");
    const uint64_t cursor = std::strtoull(number.c_str(), nullptr, 10);
    ASSERT_GE(cursor, promise_.cursor) << "acknowledged, and lost";
    ASSERT_LE(cursor, sent_.items.size());
    ASSERT_GE(std::strtoull(ingest.Value("SELECT count(*) FROM leases WHERE gateway LIKE 'old-%'").c_str(), nullptr, 10),
              promise_.old_rows) << "of an earlier version, and lost";
    std::map<std::string, size_t> rows;
    std::set<std::string> effects, losses, buried;
    for (uint64_t i = 1; i <= cursor; ++i) {
      const Sent::Meaning& meaning = sent_.meanings[i - 1];
      if (meaning.event != 0) {
        effects.insert(IdOf(meaning.event).ToHex());
        rows[IdOf(meaning.event).ToHex()] = meaning.bus_rows;
      } else {
        (meaning.buried ? buried : losses).insert(StrCat(i));
      }
    }
    const auto all = [&](const std::string& sql) {
      const auto found = ingest.Rows(sql, 1);
      std::set<std::string> set(found.begin(), found.end());
      EXPECT_EQ(set.size(), found.size()) << "twice: " << sql;
      return set;
    };
    EXPECT_EQ(all("SELECT event_id FROM effects"), effects);
    EXPECT_EQ(all("SELECT CAST(first AS TEXT) FROM losses"), losses);
    EXPECT_EQ(all("SELECT CAST(number AS TEXT) FROM dead_letters"), buried);
    std::map<std::string, size_t> bus;
    for (const std::string& cause : ingest.Rows("SELECT cause FROM bus_outbox", 1)) ++bus[cause];
    EXPECT_EQ(bus, rows) << "each effect is told of, once";
    EXPECT_EQ(ingest.Value("SELECT count(*) FROM stock_levels AS l WHERE level <> "
                           "(SELECT sum(change) FROM stock_movements AS m WHERE m.product_id = l.product_id)"), "0");
    if (dice_.Below(8) == 0) {
      EXPECT_EQ(ingest.Rows("PRAGMA integrity_check", 1), std::vector<std::string>{"ok"});
    }
  }

  Sent& sent_;
  const Promise promise_at_start_;
  Promise promise_;
  fakes::RecordedDisk disk_;
  SeededRandom dice_;
  Counts& counts_;
  std::vector<Mark> marks_;
};

// Cuts the power at `count` moments of what happened, and at some of what the starts then do. Returns how many images.
uint64_t Cut(const Session& session, Sent& sent, Random& dice, uint64_t count, int depth, Counts& counts) {
  const size_t size = session.disk().log().size();
  std::set<size_t> moments;
  for (uint64_t i = 0; i < count; ++i) moments.insert(dice.Below(size + 1));
  fakes::PowerCuts cuts(session.disk().base(), session.disk().log());
  Promise promise = session.promise_at_start();
  uint64_t images = 0;
  for (const size_t moment : moments) {
    while (cuts.at() < moment) {
      const fakes::DiskOp& op = session.disk().log()[cuts.at()];
      if (op.kind == fakes::DiskOp::Kind::kMark) Keep(session.marks()[op.mark], promise);
      cuts.Step();
    }
    ++images;
    SCOPED_TRACE(StrCat("power cut ", depth, " at operation ", moment, " of ", size));
    // What the gateway will send is no matter of the cloud's disk, but a branch of history has its own.
    Sent branch = sent;
    Session recovery(branch, promise, cuts.Image(dice), dice.Below(UINT64_MAX), counts);
    recovery.Live(static_cast<int>(dice.Below(depth == 1 ? 10 : 4)), dice.Below(2) == 0);
    if (!testing::Test::HasFailure() && depth < 2 && dice.Below(2) == 0) {
      images += Cut(recovery, branch, dice, 2, depth + 1, counts);
    }
    if (testing::Test::HasFailure()) return images;
  }
  return images;
}

uint64_t Workload(uint64_t seed, uint64_t cuts, Counts& counts) {
  SCOPED_TRACE(StrCat("SLUICE_SEED=", seed));
  SeededRandom dice(seed);
  Sent sent;
  Session session(sent, {}, {}, seed, counts);
  if (dice.Below(3) == 0) {
    ++counts.migrations;
    session.LiveAsOlder(static_cast<int>(dice.Below(25)), dice.Below(2) == 0);
  }
  for (uint64_t lives = 1 + dice.Below(3); lives > 0 && !testing::Test::HasFailure(); --lives) {
    session.Live(static_cast<int>(dice.Below(25)), dice.Below(2) == 0);
  }
  if (testing::Test::HasFailure()) return 0;
  return Cut(session, sent, dice, cuts, 1, counts);
}

TEST(CloudPowerCutTest, WhatWasAcknowledgedIsThereOnce) {
  const uint64_t wanted = FromEnvironment("SLUICE_POWER_CUTS", 2'000);
  SystemRandom system;
  uint64_t seed = FromEnvironment("SLUICE_SEED", system.Below(1ULL << 32));
  std::cout << "seeds from " << seed << std::endl;
  uint64_t images = 0, workloads = 0;
  Counts counts;
  for (; images < wanted && !HasFailure(); ++seed, ++workloads) {
    images += Workload(seed, std::min<uint64_t>(wanted, 40), counts);
  }
  std::cout << images << " images of " << workloads << " workloads, seeds to " << seed - 1 << ": " << counts.starts
            << " starts, " << counts.applied << " items applied, " << counts.repeated << " repeated, "
            << counts.checkpoints << " checkpoints, " << counts.migrations << " stores of an earlier version" << std::endl;
}

// Found by seed 3: the last frame of an acknowledged commit shared a sector with the first of the next, and went with it.
TEST(CloudPowerCutTest, NoCommitWritesIntoASectorThatAnEarlierOneHasSynced) {
  constexpr uint64_t kSector = 4096;
  fakes::RecordedDisk disk;
  const fakes::RecordedVfs vfs(Folder(), disk);
  Ingest<inventory::StockApplier> ingest(Folder(), inventory::Schema());
  for (int i = 0; i < 20; ++i) ingest.OpenStream(kQueue);
  const uint64_t log = disk.FileAt(Folder() + "/service.db-wal");
  uint64_t written = 0, synced = 0, commits = 0;
  for (const fakes::DiskOp& op : disk.log()) {
    if (op.file != log) continue;
    if (op.kind == fakes::DiskOp::Kind::kWrite) {
      if (op.offset == 0) written = synced = 0;   // begins anew
      EXPECT_GE(op.offset, (synced + kSector - 1) / kSector * kSector) << "after " << commits << " commits";
      written = std::max(written, op.offset + op.data.size());
    } else if (op.kind == fakes::DiskOp::Kind::kSyncEnd && written > 32) {
      synced = written;
      ++commits;
    }
  }
  EXPECT_GT(commits, 20u);
}

// The frames of the commit lie in the page cache, read well, and no sync will ever write them. Who takes them for committed builds
// on them what the next power cut takes away, acknowledged or not.
TEST(CloudPowerCutTest, ACommitWhoseSyncFailedIsNotBuiltUpon) {
  constexpr store::Sql kInsert{"INSERT INTO t(a, b) VALUES(?, ?)", "it"};
  const std::vector<store::Component> schema = {{"test", {{1, "0001_t", "CREATE TABLE t(a BIGINT PRIMARY KEY, b TEXT);"}}}};
  fakes::RecordedDisk disk;
  const auto open = [&](fakes::RecordedDisk& on) {
    return store::Store::Open({.path = Folder() + "/t.db", .files = &on}, schema);
  };
  const auto insert = [&](store::Store& store, int64_t a) {
    return store.Write([&](store::Transaction& t) { return t.Run(kInsert, a, std::string(20'000, 'x')).status(); });
  };
  {
    const fakes::RecordedVfs vfs(Folder(), disk);
    auto store = open(disk);
    ASSERT_OK(store.status());
    ASSERT_OK(insert(**store, 1));
    disk.SetOnSync([](const std::string&) { return absl::InternalError("injected: EIO"); });
    ASSERT_FALSE(insert(**store, 2).ok());
    disk.SetOnSync(nullptr);
    ASSERT_OK(insert(**store, 3));
    disk.SetDead(true);
  }
  fakes::PowerCuts cuts(disk.base(), disk.log());
  while (cuts.Step()) {
  }
  SeededRandom dice(1);
  for (int i = 0; i < 20; ++i) {
    fakes::RecordedDisk after(cuts.Image(dice));
    const fakes::RecordedVfs vfs(Folder(), after);
    auto store = open(after);
    ASSERT_OK(store.status());
    EXPECT_TRUE(absl::IsInternal(insert(**store, 1))) << "it is there already";
    EXPECT_TRUE(absl::IsInternal(insert(**store, 3))) << "it is there already";
  }
}

}  // namespace
}  // namespace sluice::cloud
