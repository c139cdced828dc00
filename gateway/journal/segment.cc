#include "gateway/journal/segment.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/status.h"

namespace sluice::journal {
namespace {

constexpr size_t kReadBytes = 256u << 10;

// A window over the file that moves forward.
class Window {
 public:
  Window(const File& file, uint64_t to) : file_(file), to_(to) {}

  // At least `size` bytes at `offset`, or what there is before `to`.
  absl::StatusOr<std::string_view> At(uint64_t offset, size_t size) {
    if (offset >= to_) return std::string_view();
    size = std::min<uint64_t>(size, to_ - offset);
    if (offset < begin_ || offset + size > begin_ + data_.size()) {
      ASSIGN_OR_RETURN(data_, file_.ReadAt(offset, std::min<uint64_t>(std::max(size, kReadBytes), to_ - offset)));
      begin_ = offset;
    }
    return std::string_view(data_).substr(offset - begin_);
  }

 private:
  const File& file_;
  const uint64_t to_;
  uint64_t begin_ = 0;
  std::string data_;
};

absl::Status Bad(uint64_t segment, uint64_t offset, std::string_view what) {
  return absl::DataLossError(StrCat("segment ", segment, " at ", offset, ": ", what));
}

}  // namespace

void SegmentIndex::Add(Queue queue, uint64_t number, uint64_t offset) {
  if (marks_.empty() || offset >= marks_.back().offset + kMarkEvery) {
    Mark mark{offset, {}};
    for (size_t i = 0; i < kQueueCount; ++i) mark.last[i] = ranges_[i].last;
    marks_.push_back(mark);
  }
  Range& range = ranges_[QueueIndex(queue)];
  if (range.first == 0) range.first = number;
  range.last = number;
}

uint64_t SegmentIndex::SeekOffset(Queue queue, uint64_t number) const {
  const size_t at = QueueIndex(queue);
  const auto after =
      std::partition_point(marks_.begin(), marks_.end(), [&](const Mark& mark) { return mark.last[at] < number; });
  return after == marks_.begin() ? kFirstRecordOffset : std::prev(after)->offset;
}

ScanEnd ScanSegment(const File& file, uint64_t segment, const EpochId& epoch, uint64_t from, uint64_t to,
                    const std::function<bool(const RecordHeader&, std::string_view, uint64_t)>& visit) {
  ScanEnd end;
  end.offset = from;
  Window window(file, to);
  uint64_t skipped = 0;
  uint64_t offset = from;
  for (;;) {
    absl::StatusOr<std::string_view> data = window.At(offset, kHeaderBytes);
    if (!data.ok()) {
      end.status = data.status();
      return end;
    }
    RecordHeader header;
    if (data->size() >= kHeaderBytes) header = DecodeHeader(*data);
    if (data->size() < kHeaderBytes || header.segment != segment || header.epoch != epoch) {
      // Not written in this segment's present life. After a sync the writer went on in the next block.
      const uint64_t next = AlignUp(offset);
      if (skipped > 0 || next == offset || next >= to) return end;
      skipped = next - offset;
      offset = next;
      continue;
    }
    // A scan from a mark of the index has not seen what lies before its first record.
    const bool joins = header.skipped == skipped || (offset == from && from != kFirstRecordOffset);
    if (!joins) {
      // Something stood before it that is gone, or a payload plays at being a record.
      end.status = Bad(segment, offset, "a record that does not join the one before");
      return end;
    }
    if (header.length > to - offset - kHeaderBytes) {
      end.status = Bad(segment, offset, "a record longer than the segment");
      return end;
    }
    const size_t size = kHeaderBytes + header.length;
    data = window.At(offset, size);
    if (!data.ok()) {
      end.status = data.status();
      return end;
    }
    if (data->size() < size || !CrcMatches(data->substr(0, size))) {
      end.status = Bad(segment, offset, "a record whose checksum does not match");
      return end;
    }
    const uint64_t at = offset;
    offset += size;
    skipped = 0;
    end.offset = offset;
    end.closed = header.type == RecordType::kClose;
    if (!visit(header, data->substr(kHeaderBytes, header.length), at)) return end;
  }
}

absl::StatusOr<FoundHead> ReadSegmentHead(const File& file, bool* zero) {
  ASSIGN_OR_RETURN(const std::string blocks, file.ReadAt(0, kFirstRecordOffset));
  *zero = blocks.find_first_not_of('\0') == std::string::npos;
  FoundHead found;
  absl::Status version;
  for (int block = 0; block < 2; ++block) {
    if (blocks.size() < (block + 1) * kBlockBytes) break;
    auto head = DecodeSegmentHead(std::string_view(blocks).substr(block * kBlockBytes, kBlockBytes));
    if (absl::IsUnimplemented(head.status())) version = head.status();
    if (head.ok() && head->segment > found.head.segment) found = {*std::move(head), block};
  }
  RETURN_IF_ERROR(version);
  if (found.head.segment == 0) return absl::NotFoundError("no segment head");
  return found;
}

std::string SegmentName(uint64_t slot) { return absl::StrFormat("journal-%06d.seg", slot); }

bool ParseSegmentName(std::string_view name, uint64_t* slot) {
  constexpr std::string_view kPrefix = "journal-", kSuffix = ".seg";
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) || name.size() <= kPrefix.size() + kSuffix.size())
    return false;
  name = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  return absl::SimpleAtoi(AsAbsl(name), slot);
}

}  // namespace sluice::journal
