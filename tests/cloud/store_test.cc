// What the services rely on: all or nothing, durable, the schema as it was released.
#include "cloud/store/store.h"

#include <gmock/gmock.h>

#include "tests/cloud/fixture.h"

namespace sluice::store {
namespace {

using cloud::TempFolder;

constexpr Sql kInsert{"INSERT INTO t(a, b, c) VALUES(?, ?, ?)", "itb"};
constexpr Sql kSelect{"SELECT a, b, c FROM t ORDER BY a", "", "itb"};
constexpr Sql kBroken{"SELECT nothing FROM nowhere", "", "i"};

class StoreTest : public ::testing::Test {
 protected:
  std::vector<Component> Schema(const char* second = nullptr) {
    Component component{"test", {{1, "0001_t", "CREATE TABLE t(a BIGINT PRIMARY KEY, b TEXT, c BLOB);"}}};
    if (second != nullptr) component.migrations.push_back({2, "0002_u", second});
    return {component};
  }
  absl::StatusOr<std::unique_ptr<Store>> Open(const std::vector<Component>& schema, int64_t checkpoint_pages = 8'192) {
    return Store::Open({.path = folder_.path() + "/t.db", .checkpoint_pages = checkpoint_pages}, schema);
  }
  static int Count(Store& store) {
    int rows = 0;
    const absl::Status status = store.Read([&](Transaction& transaction) -> absl::Status {
      ASSIGN_OR_RETURN(Statement * statement, transaction.Query(kSelect));
      for (;;) {
        ASSIGN_OR_RETURN(const bool more, statement->Next());
        if (!more) return absl::OkStatus();
        ++rows;
      }
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return rows;
  }

  TempFolder folder_;
};

TEST_F(StoreTest, ValuesComeBackAsTheyWent) {
  auto store = *Open(Schema());
  const std::string bytes("\0\xFF'", 3), text("a\0ü;--", 7);
  ASSERT_OK(store->Write([&](Transaction& transaction) -> absl::Status {
    RETURN_IF_ERROR(transaction.Run(kInsert, INT64_MIN, text, Bytes{bytes}).status());
    RETURN_IF_ERROR(transaction.Run(kInsert, 2, std::nullopt, Bytes{""}).status());
    return transaction.Run(kInsert, INT64_MAX, "", Bytes{std::string(100'000, 'x')}).status();
  }));
  ASSERT_OK(store->Read([&](Transaction& transaction) -> absl::Status {
    ASSIGN_OR_RETURN(Statement * row, transaction.Query(kSelect));
    EXPECT_TRUE(*row->Next());
    EXPECT_EQ(row->Int(0), INT64_MIN);
    EXPECT_EQ(row->Text(1), text);
    EXPECT_EQ(row->Text(2), bytes);
    EXPECT_TRUE(*row->Next());
    EXPECT_TRUE(row->IsNull(1));
    EXPECT_EQ(row->Text(2), "");
    EXPECT_TRUE(*row->Next());
    EXPECT_EQ(row->Text(2).size(), 100'000u);
    EXPECT_FALSE(*row->Next());
    return absl::OkStatus();
  }));
}

TEST_F(StoreTest, AnErrorRollsEverythingBack) {
  auto store = *Open(Schema());
  EXPECT_EQ(store->Write([&](Transaction& transaction) -> absl::Status {
                   RETURN_IF_ERROR(transaction.Run(kInsert, 1, "x", Bytes{"y"}).status());
                   return absl::AbortedError("no");
                 }).code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(Count(*store), 0);
  ASSERT_OK(store->Write([&](Transaction& t) { return t.Run(kInsert, 1, "x", Bytes{"y"}).status(); }));
  EXPECT_EQ(Count(*store), 1);
}

TEST_F(StoreTest, AReadThatWasLeftInTheMiddleHoldsNoSnapshot) {
  auto store = *Open(Schema());
  const auto insert = [&](int64_t a) {
    return store->Write([&](Transaction& transaction) { return transaction.Run(kInsert, a, "", Bytes{""}).status(); });
  };
  ASSERT_OK(insert(1));
  ASSERT_OK(insert(2));
  const auto leave = [&](absl::Status how) {
    return store->Read([&](Transaction& transaction) -> absl::Status {
      ASSIGN_OR_RETURN(Statement * row, transaction.Query(kSelect));
      EXPECT_TRUE(*row->Next());
      return how;
    });
  };
  EXPECT_TRUE(absl::IsAborted(leave(absl::AbortedError("no"))));
  ASSERT_OK(insert(3));
  EXPECT_EQ(Count(*store), 3);
  ASSERT_OK(leave(absl::OkStatus()));
  ASSERT_OK(insert(4));
  EXPECT_EQ(Count(*store), 4);
}

TEST_F(StoreTest, FaultsOfAStatementAreInternalAndNeverSoundLikeAVerdict) {
  auto store = *Open(Schema());
  EXPECT_EQ(store->Write([&](Transaction& t) { return t.Query(kBroken).status(); }).code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(store->Write([&](Transaction& t) { return t.Run(kInsert, 1).status(); }).code(),
            absl::StatusCode::kInternal);
  ASSERT_OK(store->Write([&](Transaction& t) { return t.Run(kInsert, 1, "x", Bytes{"y"}).status(); }));
  EXPECT_EQ(store->Write([&](Transaction& t) { return t.Run(kInsert, 1, "x", Bytes{"y"}).status(); }).code(),
            absl::StatusCode::kInternal);
}

TEST_F(StoreTest, MigrationsRunOnceAndAreFrozen) {
  ASSERT_OK(Open(Schema()).status());
  ASSERT_OK(Open(Schema("CREATE TABLE u(x INTEGER);")).status());
  ASSERT_OK(Open(Schema("CREATE TABLE u(x INTEGER);")).status());
  EXPECT_EQ(Open(Schema("CREATE TABLE u(x INTEGER, y INTEGER);")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Open(Schema()).status().code(), absl::StatusCode::kFailedPrecondition) << "newer than this program";
}

TEST_F(StoreTest, AFailedMigrationLeavesNothingBehind) {
  ASSERT_OK(Open(Schema()).status());
  EXPECT_FALSE(Open(Schema("CREATE TABLE u(x INTEGER); CREATE TABLE t(x INTEGER);")).ok());
  EXPECT_OK(Open(Schema("CREATE TABLE u(x INTEGER);")).status());
}

TEST_F(StoreTest, TheWalIsMovedIntoTheDatabaseAndBeginsAnew) {
  auto store = *Open(Schema(), /*checkpoint_pages=*/64);
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_OK(store->Write(
        [&](Transaction& t) { return t.Run(kInsert, i, "x", Bytes{std::string(1'000, 'y')}).status(); }));
    if (i % 100 == 0) {
      EXPECT_EQ(Count(*store), i + 1);
    }
  }
  EXPECT_LT(std::filesystem::file_size(folder_.path() + "/t.db-wal"), 100u * 8'216);
  ASSERT_OK(store->CheckpointWhenIdle());
  EXPECT_EQ(Count(*store), 1'000);
}

}  // namespace
}  // namespace sluice::store
