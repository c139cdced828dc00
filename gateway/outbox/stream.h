// What the outbox knows of one (epoch, queue): memory in front, ranges of stored rows behind. No I/O.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "base/item.h"
#include "gateway/outbox/sent_as.h"

namespace sluice::outbox {

// Rows of the database, by range. `rows` counts gaps as one each.
struct StoredRange {
  uint64_t first = 0, last = 0;
  uint64_t rows = 0, bytes = 0, gaps = 0;
  int64_t stored_ms = 0;  // wall clock, for people
};

struct Entry {
  Item item;
  int64_t since_us = 0;  // monotonic

  // What it takes of the heap, nearly.
  size_t Cost() const { return sizeof(Entry) + item.bytes.capacity() + 16; }
};

// Numbers are stored ones throughout, but for what `sent_as` makes of them.
struct Stream {
  Stream() = default;
  Stream(Epoch of, Queue on) : epoch(std::move(of)), queue(on), sent_as(epoch.id) {}

  int64_t id = 0;  // its row in the database; 0: none yet
  Epoch epoch;
  Queue queue = Queue::kShopBulk;
  SentAs sent_as;
  uint64_t last = 0;       // the highest number known to have been taken
  uint64_t stored_to = 0;  // everything up to here is stored or was acknowledged before it was
  uint64_t acked_to = 0;
  uint64_t acked_high = 0;  // the highest acked_to there ever was: above the cloud's cursor after it was restored
  std::deque<StoredRange> ranges;  // ascending
  std::deque<Entry> memory;        // contiguous records; only epochs of this run have any
  int64_t journal_since_us = 0;    // since when items lie in the journal alone
  bool changed = false;            // acked_to or last differ from the database

  bool InMemory(uint64_t number) const {
    return !memory.empty() && memory.front().item.first <= number && number <= memory.back().item.last;
  }
  uint64_t NextToStore() const { return std::max(stored_to, acked_to) + 1; }
  // Numbers that neither memory nor the database has, but the journal should.
  bool JournalOnly() const {
    const uint64_t next = NextToStore();
    return next <= last && !InMemory(next);
  }

  // Rows and bytes stored above / up to `number`; inside a range by proportion.
  struct Amount {
    uint64_t rows = 0, bytes = 0;
  };
  Amount StoredUpTo(uint64_t number) const {
    Amount amount;
    for (const StoredRange& range : ranges) {
      if (range.first > number) break;
      if (range.last <= number) {
        amount.rows += range.rows;
        amount.bytes += range.bytes;
        continue;
      }
      const double share =
          static_cast<double>(number - range.first + 1) / static_cast<double>(range.last - range.first + 1);
      amount.rows += static_cast<uint64_t>(share * static_cast<double>(range.rows));
      amount.bytes += static_cast<uint64_t>(share * static_cast<double>(range.bytes));
    }
    return amount;
  }
  Amount Stored() const { return StoredUpTo(UINT64_MAX); }
  // In the database; gaps are no records.
  bool HoldsRecords() const {
    return std::any_of(ranges.begin(), ranges.end(), [](const StoredRange& range) { return range.rows > range.gaps; });
  }
};

}  // namespace sluice::outbox
