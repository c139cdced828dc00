// The outbox's newest rows in memory, so that the relay need not read back from SQLite what was written a moment ago.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "cloud/store/store.h"

namespace sluice::eventbus {

// Rows in the order of their positions.
class RowBuffer {
 public:
  void Add(int64_t position, std::string_view entity, std::string_view envelope);
  void Append(const RowBuffer& other);
  void Clear();

  bool empty() const { return rows_.empty(); }
  int64_t last() const { return rows_.back().position; }
  size_t bytes() const { return text_.size() + rows_.size() * sizeof(Row); }

  // Visits all rows above `after` until one returns an error. visit(position, entity, envelope).
  template <typename Visit>
  absl::Status ForEachAbove(int64_t after, Visit visit) const {
    std::string_view rest(text_);
    for (const Row& row : rows_) {
      if (row.position > after) {
        absl::Status status = visit(row.position, rest.substr(0, row.entity), rest.substr(row.entity, row.envelope));
        if (!status.ok()) return status;
      }
      rest.remove_prefix(row.entity + row.envelope);
    }
    return absl::OkStatus();
  }

 private:
  struct Row {
    int64_t position;
    uint32_t entity, envelope;   // bytes of each in text_, one after the other
  };
  std::vector<Row> rows_;
  std::string text_;
};

// Filled by the writer within transactions, emptied by one relay. The table stays the truth: what does not fit, or is in
// doubt after a commit that failed, is read from there.
class FreshRows final : public store::Participant {
 public:
  // `since`: the store's committed position now. Before the store's first Write of rows.
  explicit FreshRows(int64_t since, size_t max_bytes = 8u << 20) : max_bytes_(max_bytes), since_(since) {}

  // Within the store's Write.
  void Add(store::Transaction& transaction, int64_t position, std::string_view entity, std::string_view envelope);
  void Ended(bool committed) override;

  enum class Coverage {
    kNone,   // rows between `after` and the first one here are only in the table; nothing was taken
    kPart,   // later rows are only in the table
    kAll,    // all that is committed
  };
  // Takes out everything, in exchange for `rows`, which is emptied. Some of it may lie at or below `after`.
  Coverage Take(int64_t after, RowBuffer& rows);

 private:
  const size_t max_bytes_;
  RowBuffer uncommitted_;   // guarded by the store's Write

  std::mutex mutex_;
  // Guarded by mutex_: committed rows above since_, without those that came after them up to left_out_to_.
  RowBuffer committed_;
  int64_t since_;
  int64_t left_out_to_ = 0;   // 0: none
};

}  // namespace sluice::eventbus
