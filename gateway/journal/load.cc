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
      positions_file_(files, options.folder, "journal.positions"),
      positions_copy_(files, options.folder, "journal.positions-copy"),
      sync_at_bytes_(std::min(kSyncAtBytes, options.segment_bytes / 2)) {}

absl::Status JournalImpl::OpenFolder(std::vector<std::string>* names) {
  const std::string& folder = options_.folder;
  RETURN_IF_ERROR(files_.MakeFolder(folder));
  auto listed = files_.List(folder);
  for (int n = 1; !listed.ok() && n < 100; ++n) {
    // Something else has the folder's name.
    const std::string aside = StrCat(folder, ".bad-", n);
    if (files_.Open(aside, FileSystem::Mode::kRead).ok()) continue;
    if (!files_.Rename(folder, aside).ok()) return listed.status();
    found_.segments.push_back({aside, 0, listed.status()});
    RETURN_IF_ERROR(files_.MakeFolder(folder));
    listed = files_.List(folder);
  }
  RETURN_IF_ERROR(listed.status());
  ASSIGN_OR_RETURN(lock_file_, LockFile::Acquire(StrCat(folder, "/journal.lock")));
  ASSIGN_OR_RETURN(*names, files_.List(folder));
  return absl::OkStatus();
}

absl::Status JournalImpl::Load(const std::string& gateway, const std::string& shop, uint64_t ordinal, Random& random) {
  epoch_.gateway = gateway;
  epoch_.shop = shop;
  std::vector<std::string> names;
  RETURN_IF_ERROR(OpenFolder(&names));
  for (const std::string& name : names) {
    uint64_t slot = 0;
    if (absl::EndsWith(name, ".seg.new")) {
      // A segment that was not finished being made; nothing was ever written to it.
      files_.Remove(StrCat(options_.folder, "/", name)).IgnoreError();
    } else if (ParseSegmentName(name, &slot)) {
      next_slot_ = std::max(next_slot_, slot + 1);
      LoadSegment(name, slot);
    }
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const auto& a, const auto& b) { return a->head.segment < b->head.segment; });
  std::sort(found_.segments.begin(), found_.segments.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  for (const auto& segment : segments_) {
    const SegmentHead& head = segment->head;
    if (head.segment == 0) continue;
    if (std::none_of(found_.epochs.begin(), found_.epochs.end(),
                     [&](const Epoch& known) { return known.id == head.epoch.id; })) {
      found_.epochs.push_back(head.epoch);
    }
    LearnHead(head);
    for (Queue queue : kAllQueues) {
      Progress& progress = progress_[head.epoch.id][QueueIndex(queue)];
      progress.next = std::max(progress.next, segment->index.range(queue).last + 1);
    }
  }
  LearnPositions();
  for (const Epoch& epoch : found_.epochs) ordinal = std::max(ordinal, epoch.ordinal + 1);
  for (const auto& [id, epoch] : epochs_) ordinal = std::max(ordinal, epoch.ordinal + 1);
  std::stable_sort(found_.epochs.begin(), found_.epochs.end(),
                   [](const Epoch& a, const Epoch& b) { return a.ordinal < b.ordinal; });

  epoch_.ordinal = ordinal;
  random_ = &random;
  random.Fill(epoch_.id.bytes);
  epochs_[epoch_.id] = epoch_;
  mine_ = &progress_[epoch_.id];

  absl::Status made;
  while (made.ok() && segments_.size() - ForeignSegments() < options_.min_segments) {
    auto segment = CreateSegment();
    // A disk that is full, or only reads, takes none: those that are there must do until it has room again.
    made = segment.status();
    if (made.ok()) segments_.push_back(*std::move(segment));
  }
  Lock lock(mu_);
  absl::Status begun = BeginSegment(lock, epoch_, Prefer::kAnother);
  if (begun.ok()) begun = current_->file->Sync();
  if (begun.ok()) {
    ++figures_.syncs;
    synced_segment_ = current_->head.segment;
    Positions positions = MakePositions(synced_segment_, {});
    lock.unlock();
    WritePositions(std::move(positions), Flush::kAsDue);
    lock.lock();
  } else if (current_ != nullptr) {
    ++figures_.sync_failures;
    current_->failed = true;
    current_ = nullptr;
  }
  // All segments full of what nobody has stored yet, or a disk that takes nothing: the syncer tries again.
  NoteBegun(begun.ok());
  lock.unlock();
  syncer_ = std::thread([this] { RunSyncer(); });
  return absl::OkStatus();
}

// Never fails the start: what cannot be used is set aside, what can only be read is read.
void JournalImpl::LoadSegment(const std::string& name, uint64_t slot) {
  const std::string path = StrCat(options_.folder, "/", name);
  auto segment = std::make_shared<Segment>();
  segment->path = path;
  segment->slot = slot;
  auto file = files_.Open(path, FileSystem::Mode::kReadWrite);
  if (!file.ok()) {
    file = files_.Open(path, FileSystem::Mode::kRead);
    segment->failed = true;
  }
  if (!file.ok()) return SetAside(name, "bad", file.status());
  segment->file = *std::move(file);
  const absl::StatusOr<uint64_t> size = segment->file->Size();
  if (!size.ok()) return SetAside(name, "bad", size.status());
  // What is in the page cache is not yet on the medium: a killed process leaves records that no sync has covered, and one
  // whose sync failed leaves records that no later sync will write. Only what is read back from the medium may be answered for.
  const absl::Status synced = segment->file->Sync();
  ++(synced.ok() ? figures_.syncs : figures_.sync_failures);
  segment->failed |= !synced.ok();
  segment->unsure = !synced.ok();
  segment->file->DropCache();
  bool zero = false;
  absl::StatusOr<FoundHead> head = ReadSegmentHead(*segment->file, &zero);
  if (absl::IsUnimplemented(head.status())) return SetAside(name, "version", head.status());
  if (!head.ok() && !(zero && absl::IsNotFound(head.status()))) return SetAside(name, "bad", head.status());
  if (*size < kFirstRecordOffset + kBlockBytes) {
    return SetAside(name, "bad", absl::DataLossError(StrCat("only ", *size, " bytes")));
  }
  segment->size = *size / kBlockBytes * kBlockBytes;
  if (!head.ok()) {
    segments_.push_back(std::move(segment));
    return;
  }
  segment->head = head->head;
  segment->head_block = head->block;
  // A truncated one is read to its end.
  const ScanEnd end = ScanSegment(*segment->file, segment->head.segment, segment->head.epoch.id, kFirstRecordOffset,
                                  *size, [&](const RecordHeader& header, std::string_view, uint64_t offset) {
                                    const auto queue = QueueFromNumber(header.queue);
                                    if (header.type == RecordType::kRecord && queue) {
                                      segment->index.Add(*queue, header.number, offset);
                                    }
                                    return true;
                                  });
  segment->end = end.offset;
  absl::Status status = end.status;
  status.Update(synced);
  if (!status.ok()) ++figures_.bad_records;
  if (found_.segments.empty() || segment->head.segment > found_.segments.back().number) found_.clean_stop = end.closed;
  found_.segments.push_back({name, segment->head.segment, status});
  std::sort(found_.segments.begin(), found_.segments.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  segments_.push_back(std::move(segment));
}

void JournalImpl::LearnHead(const SegmentHead& head) {
  next_segment_ = std::max(next_segment_, head.segment + 1);
  const bool ours = head.epoch.gateway == epoch_.gateway;
  if (ours) epochs_.try_emplace(head.epoch.id, head.epoch);
  for (const auto& position : head.positions) {
    Progress& progress = progress_[position.epoch][QueueIndex(position.queue)];
    progress.next = std::max(progress.next, position.next);
    progress.acked_to = std::max(progress.acked_to, position.acked_to);
    progress.released_to = progress.acked_to;
  }
}

// The newer of the file and its copy.
absl::StatusOr<Positions> JournalImpl::ReadPositions() {
  absl::StatusOr<Positions> newest = absl::NotFoundError("no positions");
  for (PositionsFile* file : {&positions_file_, &positions_copy_}) {
    absl::StatusOr<Positions> found = file->Read();
    if (found.ok()) {
      if (!newest.ok() || found->sequence > newest->sequence) newest = *std::move(found);
    } else if (!absl::IsNotFound(found.status())) {
      found_.positions.Update(found.status());
      MoveAside(file->name(), "bad");
    }
  }
  if (newest.ok()) positions_sequence_ = newest->sequence;
  return newest;
}

// After the heads: journal.positions, and the epochs of which no segment is left.
void JournalImpl::LearnPositions() {
  const Segment* newest = nullptr;
  for (const auto& segment : segments_) {
    if (segment->head.segment != 0) newest = segment.get();
  }
  const absl::StatusOr<Positions> positions = ReadPositions();
  const bool newer = positions.ok() && (newest == nullptr || positions->head.segment >= newest->head.segment);
  if (positions.ok() && positions->head.epoch.gateway == epoch_.gateway) {
    // Before its numbers are learned: they are held against what can be read.
    if (newer) JudgeTail(*positions);
    LearnHead(positions->head);
  }
  // Only the newest knows which of the older epochs are still open.
  const SegmentHead* known = newer ? &positions->head : newest != nullptr ? &newest->head : nullptr;
  if (known == nullptr || known->epoch.gateway != epoch_.gateway) return;
  std::vector<Epoch> listed = known->others;
  listed.push_back(known->epoch);
  for (const Epoch& epoch : listed) {
    if (epoch.gateway != epoch_.gateway) continue;
    epochs_.try_emplace(epoch.id, epoch);
    if (std::any_of(found_.epochs.begin(), found_.epochs.end(), [&](const Epoch& each) { return each.id == epoch.id; }))
      continue;
    const auto& progress = progress_[epoch.id];
    if (std::any_of(progress.begin(), progress.end(),
                    [](const Progress& each) { return std::max(each.next - 1, each.end) > each.acked_to; })) {
      found_.epochs.push_back(epoch);
    }
  }
}

// What the last run had made safe is held against what can be read of it. Less: its end is damaged, and where it ended is
// known as well as the positions are new. They are exact where the machine was not switched off in between, since the
// page cache has them; else they may be a second old, and the limit is what no safe number had passed.
void JournalImpl::JudgeTail(const Positions& positions) {
  const Epoch& epoch = positions.head.epoch;
  Numbers read{}, taken{};
  bool there = false, bad = false, damaged = false;
  for (const auto& segment : segments_) {
    if (segment->head.segment == 0 || segment->head.epoch.id != epoch.id) continue;
    there |= segment->head.segment == positions.head.segment;
    for (Queue queue : kAllQueues) {
      read[QueueIndex(queue)] = std::max(read[QueueIndex(queue)], segment->index.range(queue).last);
    }
    // What was taken before the segment was begun lay in others; a hole there is none of the end's.
    for (const auto& position : segment->head.positions) {
      if (position.epoch != epoch.id) continue;
      read[QueueIndex(position.queue)] = std::max(read[QueueIndex(position.queue)], position.next - 1);
    }
  }
  for (const auto& segment : found_.segments) {
    bad |= segment.number == positions.head.segment && !segment.status.ok();
  }
  for (const auto& position : positions.head.positions) {
    if (position.epoch != epoch.id) continue;
    taken[QueueIndex(position.queue)] = position.next - 1;
    damaged |= position.next - 1 > std::max(read[QueueIndex(position.queue)], position.acked_to);
  }
  damaged |= !there;
  if (!damaged && !bad) return;
  const bool exact = positions.closed || (!options_.boot.IsZero() && positions.boot == options_.boot);
  for (Queue queue : kAllQueues) {
    const size_t at = QueueIndex(queue);
    const uint64_t limit = exact ? std::max(read[at], taken[at]) : std::max({read[at], taken[at], positions.safe_limit[at]});
    if (limit <= read[at]) continue;
    found_.tails.push_back({queue, read[at], taken[at], limit, damaged});
    Progress& progress = progress_[epoch.id][at];
    if (damaged) progress.end = std::max(progress.end, limit);
  }
}

void JournalImpl::SetAside(const std::string& name, std::string_view mark, const absl::Status& why) {
  ++figures_.bad_records;
  found_.segments.insert(found_.segments.begin(), Found::Segment{MoveAside(name, mark), 0, why});
}

// Where nothing can be renamed nothing can be written either, and the file is only passed over.
std::string JournalImpl::MoveAside(const std::string& name, std::string_view mark) {
  const std::vector<std::string> names = files_.List(options_.folder).value_or(std::vector<std::string>());
  std::string aside;
  for (int n = 1;; ++n) {
    aside = StrCat(name, ".", mark, "-", n);
    if (!std::binary_search(names.begin(), names.end(), aside)) break;
  }
  if (!files_.Rename(StrCat(options_.folder, "/", name), StrCat(options_.folder, "/", aside)).ok()) return name;
  files_.SyncFolder(options_.folder).IgnoreError();
  return aside;
}

absl::StatusOr<std::shared_ptr<Segment>> JournalImpl::CreateSegment() {
  auto segment = std::make_shared<Segment>();
  segment->slot = next_slot_++;
  segment->path = StrCat(options_.folder, "/", SegmentName(segment->slot));
  segment->size = options_.segment_bytes;
  const std::string temporary = StrCat(segment->path, ".new");
  ASSIGN_OR_RETURN(segment->file, files_.Open(temporary, FileSystem::Mode::kCreateNew));
  // Real zeros, not a hole: overwriting them later changes no metadata, and a full disk cannot take them back.
  // Block by block: a kernel with large folios keeps the page cache as it was filled, and counts all of a folio as written where
  // a record of it is.
  const std::string zeros(kBlockBytes, '\0');
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
