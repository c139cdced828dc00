// A service's store in a folder of its own, with what applies to it: for tests without a network.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "base/strings.h"
#include "cloud/eventbus/outbox_writer.h"
#include "cloud/ingest/sql_cursor_store.h"
#include "cloud/retention/age_marks.h"
#include "cloud/store/store.h"

namespace sluice::cloud {

#define ASSERT_OK(expression)                                         \
  do {                                                                \
    const absl::Status status_ = (expression);                        \
    ASSERT_TRUE(status_.ok()) << status_.ToString();                  \
  } while (false)
#define EXPECT_OK(expression)                                         \
  do {                                                                \
    const absl::Status status_ = (expression);                        \
    EXPECT_TRUE(status_.ok()) << status_.ToString();                  \
  } while (false)

class TempFolder {
 public:
  TempFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "sluice-cloud-XXXXXX").string();
    path_ = mkdtemp(path.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The files of a JSON-lines bus in the order of their lines: those set aside by their numbers, then the one that is written.
inline std::vector<std::string> JsonLinesPaths(const std::string& folder, const std::string& stem) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(stem + ".0") && name.ends_with(".jsonl")) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  paths.push_back(folder + "/" + stem + ".jsonl");
  return paths;
}

inline Id128 IdOf(uint64_t number) {
  Id128 id;
  for (int i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<uint8_t>(number >> (8 * i));
  id.bytes[0] = 0x11;
  return id;
}

inline event::v1::DeviceEvent NewEvent(uint64_t id, const std::string& device, uint64_t seq) {
  event::v1::DeviceEvent event;
  event.set_event_id(std::string(IdOf(id).View()));
  event.set_device_id(device);
  event.set_device_time_ms(1'700'000'000'000 + static_cast<int64_t>(seq));
  event.set_received_time_ms(1'700'000'500'000);
  event.mutable_sequence()->set_boot(7);
  event.mutable_sequence()->set_seq(seq);
  return event;
}

inline Item Record(uint64_t number, const event::v1::DeviceEvent& event) {
  Item item;
  item.first = item.last = number;
  item.bytes = event.SerializeAsString();
  return item;
}

inline Item Gap(uint64_t first, uint64_t last, GapReason reason = GapReason::kQuota) {
  Item item;
  item.first = first;
  item.last = last;
  item.gap = reason;
  return item;
}

// One service's ingest, reopened at will.
template <typename Business>
class Ingest {
 public:
  Ingest(const std::string& folder, store::Component schema, ingest::Applier* applier = nullptr,
         size_t fresh_bytes = 1u << 20, const std::string& name = "service")
      : path_(StrCat(folder, "/", name, ".db")),
        schema_(std::move(schema)),
        applier_(applier ? applier : &business_),
        fresh_bytes_(fresh_bytes) {
    Reopen();
  }

  void Reopen() {
    cursors.reset();
    fresh.reset();
    store.reset();
    auto opened = store::Store::Open({.path = path_}, {eventbus::Schema(), ingest::Schema(), retention::Schema(), schema_});
    if (!opened.ok()) FAIL() << opened.status().ToString();
    store = *std::move(opened);
    fresh = std::make_unique<eventbus::FreshRows>(store->committed_position(), fresh_bytes_);
    writer_ = std::make_unique<eventbus::OutboxWriter>("test-service", fresh.get());
    auto cursors_opened = ingest::SqlCursorStore::Open({.lease_ms = 60'000, .alarm = [](const std::string&) {}}, *store,
                                                       *applier_, *writer_, clock, random);
    if (!cursors_opened.ok()) FAIL() << cursors_opened.status().ToString();
    cursors = *std::move(cursors_opened);
  }

  // A stream of gateway "gw" with the certificate of shop "shop-1".
  ingest::Lease OpenStream(Queue queue, const std::string& hardware = "box-1", const std::string& shop = "shop-1") {
    auto opening = cursors->OpenFor("shop-1", "gw", queue, hardware,
                                    {Epoch{.id = IdOf(1), .ordinal = 1, .gateway = "gw", .shop = shop}});
    EXPECT_TRUE(opening.ok()) << opening.status().ToString();
    return opening.ok() ? opening->lease : ingest::Lease{};
  }

  uint64_t CursorNow(Queue queue) {
    auto opening = cursors->OpenFor("shop-1", "gw", queue, "box-1",
                                    {Epoch{.id = IdOf(1), .ordinal = 1, .gateway = "gw", .shop = "shop-1"}});
    EXPECT_TRUE(opening.ok());
    return opening->cursors.at(0).number;
  }

  // Rows of a query over text columns only, joined by '|'.
  std::vector<std::string> Rows(const std::string& sql, size_t columns) {
    std::vector<std::string> rows;
    const std::string types(columns, 't');
    const store::Sql query{sql.c_str(), "", types.c_str()};
    // Prepared by address, which a later query may have again: a connection of its own.
    auto reader = store::Store::ReadOnce(path_, [&](store::Transaction& transaction) -> absl::Status {
      ASSIGN_OR_RETURN(store::Statement * statement, transaction.Query(query));
      for (;;) {
        ASSIGN_OR_RETURN(const bool more, statement->Next());
        if (!more) return absl::OkStatus();
        std::string& row = rows.emplace_back();
        for (size_t i = 0; i < columns; ++i) row.append(i == 0 ? "" : "|").append(statement->Text(i));
      }
    });
    EXPECT_TRUE(reader.ok()) << reader.ToString();
    return rows;
  }
  std::string Value(const std::string& sql) {
    const auto rows = Rows("SELECT CAST((" + sql + ") AS TEXT)", 1);
    return rows.empty() ? "" : rows[0];
  }

  ManualClock clock;
  SeededRandom random{1};
  std::unique_ptr<store::Store> store;
  std::unique_ptr<eventbus::FreshRows> fresh;   // for a relay, which ends before Reopen
  std::unique_ptr<ingest::SqlCursorStore> cursors;

 private:
  const std::string path_;
  const store::Component schema_;
  Business business_;
  ingest::Applier* const applier_;
  const size_t fresh_bytes_;
  std::unique_ptr<eventbus::OutboxWriter> writer_;
};

}  // namespace sluice::cloud
