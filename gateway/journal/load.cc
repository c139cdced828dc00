// Start: every segment is read and synced before anyone is answered (delivery rule R5).
#include <algorithm>

#include "absl/strings/match.h"
#include "base/status.h"
#include "gateway/journal/journal_impl.h"

namespace sluice::journal {
namespace {

// Syncing when this much is written keeps the bytes that must be kept for a failed sync small.
constexpr uint64_t kSyncAtBytes = 2u << 20;

}  // namespace

JournalImpl::JournalImpl(const Options& options, FileSystem& files, const Clock& clock, const Sealer* sealer)
    : options_(options),
      files_(files),
      clock_(clock),
      sealer_(sealer),
      sync_at_bytes_(std::min(kSyncAtBytes, options.segment_bytes / 2)) {}

absl::Status JournalImpl::Load(const std::string& gateway, const std::string& shop, uint64_t ordinal, Random& random) {
  RETURN_IF_ERROR(files_.MakeFolder(options_.folder));
  ASSIGN_OR_RETURN(lock_file_, LockFile::Acquire(StrCat(options_.folder, "/journal.lock")));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(options_.folder));
  for (const std::string& name : names) {
    uint64_t slot = 0;
    if (absl::EndsWith(name, ".seg.new")) {
      // A segment that was not finished being made; nothing was ever written to it.
      RETURN_IF_ERROR(files_.Remove(StrCat(options_.folder, "/", name)));
    } else if (ParseSegmentName(name, &slot)) {
      next_slot_ = std::max(next_slot_, slot + 1);
      RETURN_IF_ERROR(LoadSegment(name, slot));
    }
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const auto& a, const auto& b) { return a->head.segment < b->head.segment; });
  std::sort(found_.segments.begin(), found_.segments.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  for (const auto& segment : segments_) {
    const SegmentHead& head = segment->head;
    if (head.segment == 0) continue;
    next_segment_ = std::max(next_segment_, head.segment + 1);
    ordinal = std::max(ordinal, head.epoch.ordinal + 1);
    if (std::none_of(found_.epochs.begin(), found_.epochs.end(),
                     [&](const Epoch& known) { return known.id == head.epoch.id; })) {
      found_.epochs.push_back(head.epoch);
    }
    for (const auto& position : head.positions) {
      Progress& progress = progress_[position.epoch][QueueIndex(position.queue)];
      progress.next = std::max(progress.next, position.next);
      progress.acked_to = std::max(progress.acked_to, position.acked_to);
      progress.released_to = progress.acked_to;
    }
    for (Queue queue : kAllQueues) {
      Progress& progress = progress_[head.epoch.id][QueueIndex(queue)];
      progress.next = std::max(progress.next, segment->index.range(queue).last + 1);
    }
  }
  std::stable_sort(found_.epochs.begin(), found_.epochs.end(),
                   [](const Epoch& a, const Epoch& b) { return a.ordinal < b.ordinal; });

  epoch_.ordinal = ordinal;
  epoch_.gateway = gateway;
  epoch_.shop = shop;
  random_ = &random;
  random.Fill(epoch_.id.bytes);
  mine_ = &progress_[epoch_.id];

  while (segments_.size() < options_.min_segments) {
    auto segment = CreateSegment();
    // A disk that is full takes none: those that are there must do until it has room again.
    if (absl::IsResourceExhausted(segment.status()) && !segments_.empty()) break;
    RETURN_IF_ERROR(segment.status());
    segments_.push_back(*std::move(segment));
  }
  Lock lock(mu_);
  const absl::Status begun = BeginSegment(lock, epoch_);
  // All segments full of what nobody has stored yet: the tail will make room once it runs.
  full_ = !begun.ok();
  if (!begun.ok() && !absl::IsResourceExhausted(begun)) return begun;
  if (begun.ok()) {
    RETURN_IF_ERROR(current_->file->Sync());
    ++figures_.syncs;
  }
  lock.unlock();
  syncer_ = std::thread([this] { RunSyncer(); });
  return absl::OkStatus();
}

absl::Status JournalImpl::LoadSegment(const std::string& name, uint64_t slot) {
  const std::string path = StrCat(options_.folder, "/", name);
  auto segment = std::make_shared<Segment>();
  segment->path = path;
  segment->slot = slot;
  ASSIGN_OR_RETURN(segment->file, files_.Open(path, FileSystem::Mode::kReadWrite));
  ASSIGN_OR_RETURN(segment->size, segment->file->Size());
  // What is in the page cache is not yet on the medium: a killed process leaves records that no sync has covered, and one
  // whose sync failed leaves records that no later sync will write. Only what is read back from the medium may be answered for.
  RETURN_IF_ERROR(segment->file->Sync());
  ++figures_.syncs;
  segment->file->DropCache();
  bool zero = false;
  absl::StatusOr<FoundHead> head = ReadSegmentHead(*segment->file, &zero);
  if (absl::IsUnimplemented(head.status())) return SetAside(name, "version", head.status());
  if (!head.ok() && !(zero && absl::IsNotFound(head.status()))) return SetAside(name, "bad", head.status());
  if (segment->size < kFirstRecordOffset + kBlockBytes) {
    return SetAside(name, "bad", absl::DataLossError(StrCat("only ", segment->size, " bytes")));
  }
  const uint64_t file_size = segment->size;  // a truncated one is read to its end
  segment->size = segment->size / kBlockBytes * kBlockBytes;
  if (!head.ok()) {
    segments_.push_back(std::move(segment));
    return absl::OkStatus();
  }
  segment->head = head->head;
  segment->head_block = head->block;
  const ScanEnd end = ScanSegment(*segment->file, segment->head.segment, segment->head.epoch.id, kFirstRecordOffset,
                                  file_size, [&](const RecordHeader& header, std::string_view, uint64_t offset) {
                                    const auto queue = QueueFromNumber(header.queue);
                                    if (header.type == RecordType::kRecord && queue) {
                                      segment->index.Add(*queue, header.number, offset);
                                    }
                                    return true;
                                  });
  segment->end = end.offset;
  if (!end.status.ok()) ++figures_.bad_records;
  if (found_.segments.empty() || segment->head.segment > found_.segments.back().number) found_.clean_stop = end.closed;
  found_.segments.push_back({name, segment->head.segment, end.status});
  std::sort(found_.segments.begin(), found_.segments.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  segments_.push_back(std::move(segment));
  return absl::OkStatus();
}

absl::Status JournalImpl::SetAside(const std::string& name, std::string_view mark, const absl::Status& why) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(options_.folder));
  std::string aside;
  for (int n = 1;; ++n) {
    aside = StrCat(name, ".", mark, "-", n);
    if (!std::binary_search(names.begin(), names.end(), aside)) break;
  }
  RETURN_IF_ERROR(files_.Rename(StrCat(options_.folder, "/", name), StrCat(options_.folder, "/", aside)));
  RETURN_IF_ERROR(files_.SyncFolder(options_.folder));
  ++figures_.bad_records;
  found_.segments.insert(found_.segments.begin(), Found::Segment{aside, 0, why});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Segment>> JournalImpl::CreateSegment() {
  auto segment = std::make_shared<Segment>();
  segment->slot = next_slot_++;
  segment->path = StrCat(options_.folder, "/", SegmentName(segment->slot));
  segment->size = options_.segment_bytes;
  const std::string temporary = StrCat(segment->path, ".new");
  ASSIGN_OR_RETURN(segment->file, files_.Open(temporary, FileSystem::Mode::kCreateNew));
  // Real zeros, not a hole: overwriting them later changes no metadata, and a full disk cannot take them back.
  const std::string zeros(256u << 10, '\0');
  absl::Status status;
  for (uint64_t offset = 0; offset < segment->size && status.ok();) {
    const size_t want = std::min<uint64_t>(zeros.size(), segment->size - offset);
    const absl::StatusOr<size_t> written = segment->file->WriteAt(offset, std::string_view(zeros).substr(0, want));
    status = written.status();
    if (written.ok() && *written == 0) status = absl::ResourceExhaustedError(StrCat("short write ", temporary));
    if (written.ok()) offset += *written;
  }
  if (status.ok()) status = segment->file->Sync();
  if (status.ok()) status = files_.Rename(temporary, segment->path);
  if (status.ok()) status = files_.SyncFolder(options_.folder);
  if (!status.ok()) {
    files_.Remove(temporary).IgnoreError();
    return status;
  }
  return segment;
}

}  // namespace sluice::journal
