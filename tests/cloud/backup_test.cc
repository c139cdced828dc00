// Backups under running services, and their way back.
#include "cloud/backup.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "cloud/inventory/stock_applier.h"
#include "cloud/service_schema.h"
#include "cloud/store/backup.h"
#include "tests/cloud/fixture.h"

namespace sluice::cloud {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr Queue kQueue = Queue::kInventory;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> Names(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  return names;
}

mode_t ModeOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

// The numbers of a store that nobody has open: "<cursor> <effects> <level>".
std::string Figures(const std::string& path) {
  std::string text;
  static constexpr store::Sql kFigures{
      "SELECT (SELECT coalesce(max(number), 0) FROM cursors), (SELECT count(*) FROM effects), "
      "(SELECT coalesce(-sum(level), 0) FROM stock_levels)",
      "", "iii"};
  EXPECT_OK(store::Store::ReadOnce(path, [&](store::Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(store::Statement * row, transaction.Find(kFigures));
    text = StrCat(row->Int(0), " ", row->Int(1), " ", row->Int(2));
    return absl::OkStatus();
  }));
  return text;
}

class BackupTest : public ::testing::Test {
 protected:
  BackupTest() { Start(); }

  void Start() {
    service_ = std::make_unique<Ingest<inventory::StockApplier>>(data_, inventory::Schema(), nullptr, 1u << 20, "inventory");
    lease_ = service_->OpenStream(kQueue);
  }
  void Stop() { service_.reset(); }

  // Sales of one each, numbered on.
  void Sell(uint64_t count) {
    std::vector<Item> items;
    for (uint64_t i = 0; i < count; ++i) {
      auto event = NewEvent(next_, "vm", next_);
      event.mutable_sale()->set_product_id("cola");
      event.mutable_sale()->set_quantity(1);
      items.push_back(Record(next_++, event));
    }
    ASSERT_OK(service_->cursors->Apply(lease_, IdOf(1), items).status());
  }
  absl::Status TakeBackup(const std::string& to) {
    return Backup({.data_dir = data_, .to = to}).status();
  }
  absl::StatusOr<Restored> PutBack(bool replace = false) {
    return Restore({.from = backup_, .data_dir = data_, .replace = replace}, clock_, random_);
  }
  std::string Generation() { return service_->Value("SELECT generation FROM store_generation"); }

  TempFolder folder_;
  const std::string data_ = [this] {
    fs::create_directory(folder_.path() + "/data");
    return folder_.path() + "/data";
  }();
  const std::string backup_ = folder_.path() + "/backup";
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<Ingest<inventory::StockApplier>> service_;
  ingest::Lease lease_;
  uint64_t next_ = 1;
};

TEST_F(BackupTest, IsOneStateOfTheStoreHoweverMuchIsWritten) {
  Sell(100);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> batches{0};
  std::thread writer([&] {
    while (!stop) {
      Sell(7);
      ++batches;
    }
  });
  for (int i = 0; i < 5; ++i) {
    const uint64_t before = batches;
    const std::string to = StrCat(backup_, i);
    EXPECT_OK(TakeBackup(to));
    while (batches == before) std::this_thread::yield();
    if (!fs::exists(to)) break;
    EXPECT_THAT(Names(to), ElementsAre("inventory.db"));
    EXPECT_EQ(ModeOf(to), 0700u);
    EXPECT_EQ(ModeOf(to + "/inventory.db"), 0600u);
    const std::string figures = Figures(to + "/inventory.db");
    const std::string cursor = figures.substr(0, figures.find(' '));
    EXPECT_EQ(figures, StrCat(cursor, " ", cursor, " ", cursor)) << "cursor, effects and level are of one transaction";
    EXPECT_NE(figures, "0 0 0");
  }
  stop = true;
  writer.join();
}

TEST_F(BackupTest, IsThereWholeOrNotAtAllAndOverwritesNothing) {
  Sell(1);
  ASSERT_OK(TakeBackup(backup_ + "/"));
  const std::string before = ReadAll(backup_ + "/inventory.db");
  EXPECT_TRUE(absl::IsAlreadyExists(TakeBackup(backup_)));
  EXPECT_EQ(ReadAll(backup_ + "/inventory.db"), before);

  const std::string killed = folder_.path() + "/killed";
  fs::create_directory(killed + ".partial");
  EXPECT_TRUE(absl::IsAlreadyExists(TakeBackup(killed)));
  EXPECT_FALSE(fs::exists(killed));

  Stop();
  fs::resize_file(data_ + "/inventory.db", fs::file_size(data_ + "/inventory.db") / 2);
  const std::string damaged = folder_.path() + "/damaged";
  EXPECT_FALSE(TakeBackup(damaged).ok());
  EXPECT_FALSE(fs::exists(damaged) || fs::exists(damaged + ".partial"));
  EXPECT_TRUE(absl::IsNotFound(Backup({.data_dir = folder_.path(), .to = damaged}).status()));
  EXPECT_TRUE(absl::IsNotFound(Backup({.data_dir = data_, .services = {"shop"}, .to = damaged}).status()));
}

TEST_F(BackupTest, AStoreAtRestIsBackedUpToo) {
  Sell(3);
  Stop();
  ASSERT_OK(TakeBackup(backup_));
  EXPECT_EQ(Figures(backup_ + "/inventory.db"), "3 3 3");
}

TEST_F(BackupTest, ComesBackUnderANewGeneration) {
  Sell(5);
  const std::string generation = Generation();
  ASSERT_OK(TakeBackup(backup_));
  Sell(4);
  Stop();
  fs::remove_all(data_);
  const auto restored = PutBack();
  ASSERT_OK(restored.status());
  EXPECT_THAT(restored->services, ElementsAre("inventory"));
  EXPECT_EQ(restored->set_aside, "");
  EXPECT_THAT(Names(data_), UnorderedElementsAre("inventory.db", "inventory.db.lock"));
  EXPECT_EQ(ModeOf(data_ + "/inventory.db"), 0600u);
  Start();
  EXPECT_NE(Generation(), generation);
  EXPECT_EQ(service_->CursorNow(kQueue), 5u);
  next_ = 6;   // the gateway sends again what is missing
  lease_ = service_->OpenStream(kQueue);
  Sell(4);
  EXPECT_EQ(service_->Value("SELECT count(*) FROM effects"), "9");
}

TEST_F(BackupTest, RefusesWhileTheServiceRuns) {
  Sell(2);
  ASSERT_OK(TakeBackup(backup_));
  Sell(2);
  const auto refused = PutBack(true);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status())) << refused.status();
  EXPECT_EQ(service_->Value("SELECT count(*) FROM effects"), "4");
  for (const std::string& name : Names(data_)) EXPECT_FALSE(name.starts_with("replaced-")) << name;
}

TEST_F(BackupTest, WhatWasThereIsSetAsideAndNotDeleted) {
  Sell(2);
  ASSERT_OK(TakeBackup(backup_));
  Sell(3);
  Stop();
  std::ofstream(data_ + "/inventory-events.jsonl") << "published\n";
  std::ofstream(data_ + "/inventory-events.000001.jsonl") << "before\n";
  std::ofstream(data_ + "/shop-events.jsonl") << "another service's\n";
  const std::string before = ReadAll(data_ + "/inventory.db");
  EXPECT_TRUE(absl::IsAlreadyExists(PutBack().status()));
  EXPECT_EQ(ReadAll(data_ + "/inventory.db"), before);

  std::vector<std::string> folders;
  for (int i = 0; i < 2; ++i) {   // twice: neither takes the place of the other
    const auto restored = PutBack(true);
    ASSERT_OK(restored.status());
    folders.push_back(restored->set_aside);
    EXPECT_EQ(Figures(data_ + "/inventory.db"), "2 2 2");
  }
  EXPECT_NE(folders[0], folders[1]);
  EXPECT_THAT(Names(folders[0]), UnorderedElementsAre("inventory.db", "inventory-events.jsonl", "inventory-events.000001.jsonl"));
  EXPECT_EQ(ModeOf(folders[0]), 0700u);
  EXPECT_EQ(Figures(folders[0] + "/inventory.db"), "5 5 5");
  EXPECT_EQ(ReadAll(folders[0] + "/inventory-events.jsonl"), "published\n");
  EXPECT_EQ(ReadAll(data_ + "/inventory-events.jsonl"), "published\n") << "where the relay finds its place";
}

TEST_F(BackupTest, AWalThatWasNotTakenInIsSetAsideWithItsStore) {
  Sell(2);
  ASSERT_OK(TakeBackup(backup_));
  Sell(3);
  // As a killed service leaves it.
  const std::string killed = folder_.path() + "/killed";
  fs::create_directory(killed);
  for (const char* name : {"/inventory.db", "/inventory.db-wal"}) fs::copy_file(data_ + name, killed + name);
  ASSERT_GT(fs::file_size(killed + "/inventory.db-wal"), 0u);
  const auto restored = Restore({.from = backup_, .data_dir = killed, .replace = true}, clock_, random_);
  ASSERT_OK(restored.status());
  EXPECT_EQ(Figures(killed + "/inventory.db"), "2 2 2");
  EXPECT_EQ(Figures(restored->set_aside + "/inventory.db"), "5 5 5");
}

TEST_F(BackupTest, WhatIsNoSoundBackupChangesNothing) {
  Sell(200);
  ASSERT_OK(TakeBackup(backup_));
  Stop();
  const std::string path = backup_ + "/inventory.db", good = ReadAll(path), before = ReadAll(data_ + "/inventory.db");
  const auto write = [&](const std::string& content) { std::ofstream(path, std::ios::binary) << content; };
  const auto refuse = [&](absl::StatusCode code, const char* text) {
    const auto status = PutBack(true).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(text));
    EXPECT_EQ(ReadAll(data_ + "/inventory.db"), before);
    EXPECT_THAT(Names(data_), UnorderedElementsAre("inventory.db", "inventory.db.lock"));
  };
  std::string damaged = good;
  for (size_t at = 8192 * 3; at < damaged.size(); at += 8192) damaged.replace(at, 100, 100, '\x5a');
  write(damaged);
  refuse(absl::StatusCode::kDataLoss, "inventory.db");
  write(good.substr(0, good.size() / 2));
  refuse(absl::StatusCode::kDataLoss, "inventory.db");
  write("no database at all, but of some length, so that it is not taken for an empty one");
  refuse(absl::StatusCode::kDataLoss, "inventory.db");
  write("");
  refuse(absl::StatusCode::kDataLoss, "no store of inventory");
  write(good);

  std::ofstream(path + "-wal") << "somebody copied a running store";
  refuse(absl::StatusCode::kFailedPrecondition, "WAL");
  fs::remove(path + "-wal");

  {
    // Another service's store under this name.
    fs::remove(path);
    auto shop = store::Store::Open({.path = path}, *SchemaOf("shop"));
    ASSERT_OK(shop.status());
  }
  refuse(absl::StatusCode::kDataLoss, "no store of inventory");
  write(good);

  {
    auto schema = *SchemaOf("inventory");
    schema.back().migrations.push_back({.number = 99, .name = "tomorrow", .sql = "CREATE TABLE tomorrow(id BIGINT)"});
    auto newer = store::Store::Open({.path = path}, schema);
    ASSERT_OK(newer.status());
  }
  refuse(absl::StatusCode::kFailedPrecondition, "this program knows up to");
}

TEST_F(BackupTest, AnOlderSchemaIsBroughtUpToDate) {
  fs::create_directory(backup_);
  auto schema = *SchemaOf("inventory");
  schema[1].migrations.pop_back();
  ASSERT_EQ(schema[1].name, "ingest");
  ASSERT_OK(store::Store::Open({.path = backup_ + "/inventory.db"}, schema).status());
  Stop();
  ASSERT_OK(PutBack(true).status());
  Start();
  EXPECT_NE(service_->Value("SELECT max(number) FROM schema_version WHERE component = 'ingest'"),
            StrCat(schema[1].migrations.back().number));
}

TEST_F(BackupTest, ARestoreThatWasKilledIsFinishedByTheNext) {
  Sell(2);
  ASSERT_OK(TakeBackup(backup_));
  Sell(1);
  Stop();
  // Killed while it made ready, or when the old names were gone: something is staged, and it may be half a file.
  std::ofstream(data_ + "/inventory.restoring.db") << "half";
  std::ofstream(data_ + "/inventory.restoring.db-wal") << "half";
  fs::remove(data_ + "/inventory.db");
  const auto restored = PutBack();
  ASSERT_OK(restored.status());
  EXPECT_EQ(Figures(data_ + "/inventory.db"), "2 2 2");
  EXPECT_FALSE(fs::exists(data_ + "/inventory.restoring.db") || fs::exists(data_ + "/inventory.restoring.db-wal"));
}

}  // namespace
}  // namespace sluice::cloud
