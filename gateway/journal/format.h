// Records and segment heads as bytes (FORMAT.md). Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/item.h"

namespace sluice::journal {

inline constexpr size_t kBlockBytes = 4096;
inline constexpr size_t kHeaderBytes = 69;
// Two blocks for the segment's head, written in turn; records begin behind them.
inline constexpr uint64_t kFirstRecordOffset = 2 * kBlockBytes;
inline constexpr uint32_t kFormatVersion = 1;

inline constexpr uint64_t AlignUp(uint64_t offset) { return (offset + kBlockBytes - 1) / kBlockBytes * kBlockBytes; }

enum class RecordType : uint8_t { kSegment = 1, kRecord = 2, kClose = 3, kPositions = 4 };

// Bits of `flags`.
inline constexpr uint8_t kSealed = 1;
inline constexpr uint8_t kClosed = 2;

struct RecordHeader {
  uint32_t crc = 0;     // filled by EncodeRecord
  uint32_t length = 0;  // of the bytes behind the header; filled by EncodeRecord
  uint64_t segment = 0;
  EpochId epoch;
  uint8_t queue = 0;  // 0 in segment heads and close records
  RecordType type = RecordType::kRecord;
  uint8_t flags = 0;
  uint16_t skipped = 0;  // after a sync: how many bytes of the block before were left unwritten
  uint64_t number = 0;
  EventId id;
  int64_t accepted_ms = 0;
};

// Appends header and bytes to `out`.
void EncodeRecord(RecordHeader header, std::string_view bytes, std::string* out);
// The header as it stands, unchecked; `data` has at least kHeaderBytes.
RecordHeader DecodeHeader(std::string_view data);
// Whether `frame` (header and bytes) has the CRC it claims.
bool CrcMatches(std::string_view frame);

// What the first record of a segment says.
struct SegmentHead {
  struct Position {
    EpochId epoch;
    Queue queue = Queue::kShopBulk;
    uint64_t next = 1;  // the number that this stream would take next when the segment was begun
    uint64_t acked_to = 0;
    bool operator==(const Position&) const = default;
  };
  uint64_t segment = 0;
  Epoch epoch;
  std::vector<Position> positions;
  // The other epochs that `positions` speaks of: without this one could not say whose the lost numbers are.
  std::vector<Epoch> others;
};

// One block, zeros behind the record. Positions that do not fit are left out, the first ones stay; so are epochs of which
// no position is there.
std::string EncodeSegmentHead(const SegmentHead& head);
// NotFound: no head here (zeros, garbage, torn). Unimplemented: a whole head of another format version.
absl::StatusOr<SegmentHead> DecodeSegmentHead(std::string_view block);

// A block of journal.positions: how far the running epoch had come when its segment was last synced, kept outside of the
// segment, so that what a damaged segment loses can be named.
struct Positions {
  SegmentHead head;       // `next` of the running epoch: what the sync covered; `segment`: which one was synced
  uint64_t sequence = 0;  // one higher with each block that is written
  Id128 boot;             // of the machine; zero: not known
  bool closed = false;    // an orderly stop: nothing was taken beyond `next`
  // By QueueIndex: no number of the running epoch above it was ever called safe on the word of a sync.
  std::array<uint64_t, kQueueCount> safe_limit{};
};
std::string EncodePositions(const Positions& positions);
absl::StatusOr<Positions> DecodePositions(std::string_view block);

}  // namespace sluice::journal
