// One segment file: its head, what it holds, and reading it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/item.h"
#include "gateway/journal/format.h"

namespace sluice::journal {

// Which numbers of each queue a segment holds, and where. For one thread at a time; a copy is a snapshot.
class SegmentIndex {
 public:
  struct Range {
    uint64_t first = 0, last = 0;  // 0: none
  };
  // Numbers of a queue come in ascending order.
  void Add(Queue queue, uint64_t number, uint64_t offset);
  const Range& range(Queue queue) const { return ranges_[QueueIndex(queue)]; }
  // An offset at or before the record; kFirstRecordOffset if nothing better is known.
  uint64_t SeekOffset(Queue queue, uint64_t number) const;
  void Clear() { *this = SegmentIndex(); }

 private:
  // One mark about every 64 KiB: 128 of them, 5 KiB, for a segment of 8 MiB.
  static constexpr uint64_t kMarkEvery = 64u << 10;
  struct Mark {
    uint64_t offset;
    std::array<uint64_t, kQueueCount> last;  // the highest numbers before this offset
  };
  std::array<Range, kQueueCount> ranges_{};
  std::vector<Mark> marks_;
};

// Members are guarded by the journal's mutex, but for `file`, `path` and `slot`, which stay as they are.
struct Segment {
  std::shared_ptr<File> file;
  std::string path;
  uint64_t slot = 0;
  uint64_t size = 0;

  SegmentHead head;    // head.segment == 0: never used
  int head_block = 1;  // where the valid head lies; the next one goes to the other block
  bool head_twice = false;  // the other block holds the same head
  SegmentIndex index;
  uint64_t end = kFirstRecordOffset;  // behind the last record; where the next would be written
  bool failed = false;                // a sync of this handle failed, or it only reads: never sync or write it again
  bool unsure = false;                // found at start and could not be synced: nobody may be told that it is safe
};

struct ScanEnd {
  uint64_t offset = kFirstRecordOffset;  // behind the last good record
  bool closed = false;                   // the last record is a close record
  absl::Status status;                   // DataLoss where a bad record ended the scan
};

// Visits the records in [from, to) of a segment in the order they lie in: header, bytes as stored, offset. Ends at the
// first bad record and never looks behind it.
ScanEnd ScanSegment(const File& file, uint64_t segment, const EpochId& epoch, uint64_t from, uint64_t to,
                    const std::function<bool(const RecordHeader&, std::string_view, uint64_t)>& visit);

// Reads both head blocks: the valid head with the higher number. NotFound: neither is one, `zero` tells whether they
// are all zero (never used). Unimplemented: another format version.
struct FoundHead {
  SegmentHead head;
  int block = 0;
};
absl::StatusOr<FoundHead> ReadSegmentHead(const File& file, bool* zero);

// "journal-000007.seg" for 7.
std::string SegmentName(uint64_t slot);
bool ParseSegmentName(std::string_view name, uint64_t* slot);

}  // namespace sluice::journal
