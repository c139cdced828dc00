#include <sqlite3.h>

#include <filesystem>
#include <memory>

#include "tests/judge/readers.h"

namespace sluice::judge {
namespace {

struct CloseDb {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct EndStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Db = std::unique_ptr<sqlite3, CloseDb>;
using Statement = std::unique_ptr<sqlite3_stmt, EndStatement>;

Statement Prepare(sqlite3* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(db, sql, -1, &statement, nullptr);
  return Statement(statement);
}

std::string_view Text(sqlite3_stmt* statement, int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
  return text == nullptr ? std::string_view() : std::string_view(text, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
}

// Zero where the table is not there.
uint64_t Number(sqlite3* db, const char* sql) {
  const Statement statement = Prepare(db, sql);
  if (!statement || sqlite3_step(statement.get()) != SQLITE_ROW) return 0;
  return static_cast<uint64_t>(sqlite3_column_int64(statement.get(), 0));
}

// False where it cannot be read to its end. Only the inventory has one.
bool ReadStock(sqlite3* db, Tally& tally) {
  const Statement movements = Prepare(
      db, "SELECT position, shop_id, product_id, device_id, boot, seq, kind, change, level FROM stock_movements");
  if (!movements) return true;
  int code;
  sqlite3_stmt* row = movements.get();
  while ((code = sqlite3_step(row)) == SQLITE_ROW) {
    tally.stock.Add({.position = sqlite3_column_int64(row, 0),
                     .shop = std::string(Text(row, 1)),
                     .product = std::string(Text(row, 2)),
                     .device = std::string(Text(row, 3)),
                     .numbered = sqlite3_column_type(row, 4) != SQLITE_NULL && sqlite3_column_type(row, 5) != SQLITE_NULL,
                     .boot = static_cast<uint64_t>(sqlite3_column_int64(row, 4)),
                     .seq = static_cast<uint64_t>(sqlite3_column_int64(row, 5)),
                     .kind = KindOf(Text(row, 6)),
                     .change = sqlite3_column_int64(row, 7),
                     .level = sqlite3_column_int64(row, 8)});
  }
  if (code != SQLITE_DONE) return false;
  const Statement levels = Prepare(db, "SELECT shop_id, product_id, level FROM stock_levels");
  if (!levels) return false;
  while ((code = sqlite3_step(levels.get())) == SQLITE_ROW) {
    tally.stock.Level(Text(levels.get(), 0), Text(levels.get(), 1), sqlite3_column_int64(levels.get(), 2));
  }
  return code == SQLITE_DONE;
}

// Between two statements the service may write: both see one state.
void BeginRead(sqlite3* db) { sqlite3_exec(db, "BEGIN", nullptr, nullptr, nullptr); }

}  // namespace

bool ReadStore(const std::string& path, Tally& tally, std::string& error) {
  if (!std::filesystem::exists(path)) return true;
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  const Db db(raw);
  const auto fail = [&](std::string_view what) {
    error = path + ": " + std::string(what) + ": " + (db ? sqlite3_errmsg(db.get()) : "out of memory");
    return false;
  };
  if (opened != SQLITE_OK) return fail("open");
  sqlite3_busy_timeout(db.get(), 5000);
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);

  BeginRead(db.get());
  const Statement effects = Prepare(db.get(), "SELECT position, queue, device_id, boot, seq, kind FROM effects");
  if (!effects) return fail("view effects");
  int code;
  while ((code = sqlite3_step(effects.get())) == SQLITE_ROW) {
    sqlite3_stmt* row = effects.get();
    if (sqlite3_column_type(row, 3) == SQLITE_NULL || sqlite3_column_type(row, 4) == SQLITE_NULL) {
      ++tally.notes.unnumbered;
      continue;
    }
    tally.Effect(Text(row, 2), static_cast<uint64_t>(sqlite3_column_int64(row, 3)),
                 static_cast<uint64_t>(sqlite3_column_int64(row, 4)), KindOf(Text(row, 5)), QueueOf(Text(row, 1)),
                 sqlite3_column_int64(row, 0));
  }
  if (code != SQLITE_DONE) return fail("view effects");

  if (!ReadStock(db.get(), tally)) return fail("stock");

  tally.notes.dead_letters += Number(db.get(), "SELECT count(*) FROM dead_letters");
  tally.notes.declared_lost += Number(db.get(), "SELECT coalesce(sum(last - first + 1), 0) FROM losses");
  return true;
}

}  // namespace sluice::judge
