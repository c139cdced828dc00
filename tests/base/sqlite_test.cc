#include "base/sqlite.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/fakes/temp_folder.h"

namespace sluice::sqlite {
namespace {

TEST(SqliteTest, KeepsIntegersBlobsAndNulls) {
  fakes::TempFolder folder;
  auto db = Database::Open(folder / "odd name?#%.db", {});
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_TRUE(db->Exec("CREATE TABLE t (a INTEGER, b BLOB, c TEXT)").ok());
  auto insert = db->Prepare("INSERT INTO t VALUES (?,?,?)");
  ASSERT_TRUE(insert.ok());
  insert->Bind(1, INT64_MAX).BindBlob(2, std::string_view("a\0b", 3));
  ASSERT_TRUE(insert->Run().ok());
  auto select = db->Prepare("SELECT a, b, c FROM t");
  ASSERT_TRUE(select.ok());
  ASSERT_TRUE(select->Step().value_or(false));
  EXPECT_EQ(select->Int(0), INT64_MAX);
  EXPECT_EQ(select->Blob(1), std::string_view("a\0b", 3));
  EXPECT_TRUE(select->IsNull(2));
  EXPECT_FALSE(select->Step().value_or(true));
  EXPECT_TRUE(std::filesystem::exists(folder / "odd name?#%.db"));
}

TEST(SqliteTest, ATransactionThatIsNotCommittedIsRolledBack) {
  fakes::TempFolder folder;
  auto db = Database::Open(folder / "a.db", {});
  ASSERT_TRUE(db.ok());
  ASSERT_TRUE(db->Exec("CREATE TABLE t (a INTEGER UNIQUE)").ok());
  {
    auto transaction = Transaction::Begin(*db);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(db->Exec("INSERT INTO t VALUES (1)").ok());
  }
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM t").value_or(-1), 0);
  auto transaction = Transaction::Begin(*db);
  ASSERT_TRUE(transaction.ok());
  ASSERT_TRUE(db->Exec("INSERT INTO t VALUES (1)").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(db->Exec("INSERT INTO t VALUES (1)")));
  ASSERT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(db->QueryInt("SELECT count(*) FROM t").value_or(-1), 1);
}

TEST(SqliteTest, ErrorsHaveCodes) {
  fakes::TempFolder folder;
  std::ofstream(folder / "junk.db") << std::string(10'000, 'j');
  auto junk = Database::Open(folder / "junk.db", {});
  ASSERT_TRUE(junk.ok());
  EXPECT_TRUE(absl::IsDataLoss(junk->QueryInt("SELECT count(*) FROM sqlite_schema").status()));

  auto db = Database::Open(folder / "a.db", {});
  ASSERT_TRUE(db.ok());
  ASSERT_TRUE(db->Exec("PRAGMA max_page_count=4; CREATE TABLE t (a BLOB)").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(db->Exec("INSERT INTO t VALUES (zeroblob(100000))")));
  EXPECT_TRUE(absl::IsInternal(db->Exec("NO SUCH WORDS")));
  EXPECT_TRUE(absl::IsNotFound(db->QueryInt("SELECT a FROM t").status()));
  EXPECT_FALSE(Database::Open(folder / "none.db", {.create = false}).ok());
}

TEST(SqliteTest, ALimitedStatementEnds) {
  fakes::TempFolder folder;
  auto db = Database::Open(folder / "a.db", {});
  ASSERT_TRUE(db.ok());
  db->LimitTime(20);
  const char* endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
  EXPECT_TRUE(absl::IsDeadlineExceeded(db->QueryInt(endless).status()));
  db->LimitTime(0);
  EXPECT_TRUE(db->QueryInt("SELECT 1").ok());
}

}  // namespace
}  // namespace sluice::sqlite
