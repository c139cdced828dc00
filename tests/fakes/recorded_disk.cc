#include "tests/fakes/recorded_disk.h"

#include <algorithm>

#include "base/status.h"

namespace sluice::fakes {
namespace {

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

class RecordedDisk::RecordedFile final : public File {
 public:
  RecordedFile(RecordedDisk& disk, std::shared_ptr<Inode> inode) : disk_(disk), inode_(std::move(inode)) {}

  absl::StatusOr<size_t> WriteAt(uint64_t offset, std::string_view data) override {
    std::lock_guard lock(disk_.mu_);
    RETURN_IF_ERROR(disk_.Alive());
    WriteFate fate{data.size(), data.size()};
    if (disk_.on_write_) fate = disk_.on_write_(inode_->path, offset, data.size());
    data = data.substr(0, fate.arrives);
    if (!data.empty()) {
      std::string& content = inode_->content;
      content.resize(std::max<size_t>(content.size(), offset + data.size()));
      content.replace(offset, data.size(), data);
      disk_.log_.push_back({.kind = DiskOp::Kind::kWrite, .file = inode_->number, .offset = offset, .data = std::string(data)});
    }
    return fate.answer;
  }
  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) const override {
    std::lock_guard lock(disk_.mu_);
    RETURN_IF_ERROR(disk_.Alive());
    return offset < inode_->content.size() ? inode_->content.substr(offset, size) : std::string();
  }
  absl::Status Sync() override {
    OnSync hook;
    std::string path;
    {
      std::lock_guard lock(disk_.mu_);
      RETURN_IF_ERROR(disk_.Alive());
      disk_.log_.push_back({.kind = DiskOp::Kind::kSyncBegin, .file = inode_->number});
      hook = disk_.on_sync_;
      path = inode_->path;
    }
    const absl::Status status = hook ? hook(path) : absl::OkStatus();
    std::lock_guard lock(disk_.mu_);
    RETURN_IF_ERROR(disk_.Alive());
    disk_.log_.push_back({.kind = status.ok() ? DiskOp::Kind::kSyncEnd : DiskOp::Kind::kSyncFailed, .file = inode_->number});
    return status;
  }
  void DropCache() override {
    std::lock_guard lock(disk_.mu_);
    if (disk_.Alive().ok()) disk_.DropCache(*inode_);
  }
  absl::StatusOr<uint64_t> Size() const override {
    std::lock_guard lock(disk_.mu_);
    return inode_->content.size();
  }
  absl::Status Resize(uint64_t size) override {
    std::lock_guard lock(disk_.mu_);
    RETURN_IF_ERROR(disk_.Alive());
    inode_->content.resize(size, '\0');
    disk_.log_.push_back({.kind = DiskOp::Kind::kResize, .file = inode_->number, .offset = size});
    return absl::OkStatus();
  }

 private:
  RecordedDisk& disk_;
  const std::shared_ptr<Inode> inode_;
};

RecordedDisk::RecordedDisk(DiskImage content, uint64_t seed) : base_(std::move(content)), fate_(seed) {
  for (const auto& [path, bytes] : base_) {
    names_[path] = std::make_shared<Inode>(Inode{next_inode_++, path, bytes});
  }
}

void RecordedDisk::SetOnWrite(OnWrite hook) {
  std::lock_guard lock(mu_);
  on_write_ = std::move(hook);
}

void RecordedDisk::SetOnSync(OnSync hook) {
  std::lock_guard lock(mu_);
  on_sync_ = std::move(hook);
}

void RecordedDisk::SetDead(bool dead) {
  std::lock_guard lock(mu_);
  dead_ = dead;
}

void RecordedDisk::Mark(uint64_t mark) {
  std::lock_guard lock(mu_);
  log_.push_back({.kind = DiskOp::Kind::kMark, .mark = mark});
}

void RecordedDisk::DropCache(Inode& inode) {
  const bool doubtful = std::any_of(log_.begin(), log_.end(), [&](const DiskOp& op) {
    return op.kind == DiskOp::Kind::kSyncFailed && op.file == inode.number;
  });
  if (!doubtful) return;
  PowerCuts now(base_, log_);
  while (now.Step()) {
  }
  inode.content = now.Reread(inode.number, fate_);
  log_.push_back({.kind = DiskOp::Kind::kDropCache, .file = inode.number, .data = inode.content});
}

absl::Status RecordedDisk::Alive() const {
  return dead_ ? absl::UnavailableError("the process was killed") : absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<File>> RecordedDisk::Open(const std::string& path, Mode mode) {
  std::lock_guard lock(mu_);
  RETURN_IF_ERROR(Alive());
  auto found = names_.find(path);
  if (mode == Mode::kCreateNew) {
    if (found != names_.end()) return absl::AlreadyExistsError(path);
    found = names_.emplace(path, std::make_shared<Inode>(Inode{next_inode_++, path, ""})).first;
    log_.push_back({.kind = DiskOp::Kind::kCreate, .file = found->second->number, .path = path});
  }
  if (found == names_.end()) return absl::NotFoundError(path);
  return std::make_unique<RecordedFile>(*this, found->second);
}

absl::StatusOr<std::vector<std::string>> RecordedDisk::List(const std::string& folder) {
  std::lock_guard lock(mu_);
  RETURN_IF_ERROR(Alive());
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_) {
    if (FolderOf(path) == folder) names.push_back(path.substr(folder.size() + 1));
  }
  return names;
}

FileSystem::Look RecordedDisk::LookAt(const std::string& path) {
  std::lock_guard lock(mu_);
  const auto found = names_.find(path);
  if (!Alive().ok() || found == names_.end()) return {};
  return {.kind = Look::Kind::kFile, .size = found->second->content.size()};
}

uint64_t RecordedDisk::FileAt(const std::string& path) const {
  std::lock_guard lock(mu_);
  const auto found = names_.find(path);
  return found == names_.end() ? 0 : found->second->number;
}

absl::Status RecordedDisk::MakeFolder(const std::string&) {
  std::lock_guard lock(mu_);
  return Alive();
}

absl::Status RecordedDisk::Rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mu_);
  RETURN_IF_ERROR(Alive());
  const auto found = names_.find(from);
  if (found == names_.end()) return absl::NotFoundError(from);
  const std::shared_ptr<Inode> inode = found->second;
  names_.erase(found);
  inode->path = to;
  names_[to] = inode;
  log_.push_back({.kind = DiskOp::Kind::kRename, .path = from, .to = to});
  return absl::OkStatus();
}

absl::Status RecordedDisk::Remove(const std::string& path) {
  std::lock_guard lock(mu_);
  RETURN_IF_ERROR(Alive());
  if (names_.erase(path) == 0) return absl::NotFoundError(path);
  log_.push_back({.kind = DiskOp::Kind::kRemove, .path = path});
  return absl::OkStatus();
}

absl::Status RecordedDisk::SyncFolder(const std::string& folder) {
  std::lock_guard lock(mu_);
  RETURN_IF_ERROR(Alive());
  log_.push_back({.kind = DiskOp::Kind::kSyncFolder, .path = folder});
  return absl::OkStatus();
}

PowerCuts::PowerCuts(const DiskImage& base, const std::vector<DiskOp>& log) : log_(log) {
  uint64_t number = 0;
  for (const auto& [path, bytes] : base) {
    durable_names_[path] = ++number;
    files_[number] = {.durable = bytes, .cache = bytes};
  }
}

void PowerCuts::Apply(const DiskOp& op, Names& names) {
  switch (op.kind) {
    case DiskOp::Kind::kCreate: names[op.path] = op.file; break;
    case DiskOp::Kind::kRemove: names.erase(op.path); break;
    case DiskOp::Kind::kRename:
      if (const auto found = names.find(op.path); found != names.end()) {
        names[op.to] = found->second;
        names.erase(op.path);
      }
      break;
    default: break;
  }
}

void PowerCuts::Write(const DiskOp& op) {
  FileState& file = files_[op.file];
  file.cache.resize(std::max<size_t>(file.cache.size(), op.offset + op.data.size()));
  file.cache.replace(op.offset, op.data.size(), op.data);
  for (size_t sector = op.offset / kSectorBytes; sector * kSectorBytes < op.offset + op.data.size(); ++sector) {
    file.pending[sector].versions.push_back({at_, file.cache.substr(sector * kSectorBytes, kSectorBytes)});
  }
}

// Lengthening is told by the size alone. Nothing that was written beyond a cut comes back.
void PowerCuts::Resize(const DiskOp& op) {
  FileState& file = files_[op.file];
  const size_t size = op.offset;
  if (size < file.cache.size()) {
    file.cut_to = std::min(file.cut_to, size);
    file.cut_at = at_;
    const size_t whole = (size + kSectorBytes - 1) / kSectorBytes;
    file.pending.erase(file.pending.lower_bound(whole), file.pending.end());
    file.syncing.erase(file.syncing.lower_bound(whole), file.syncing.end());
    file.syncing_size = std::min(file.syncing_size, size);
  }
  file.cache.resize(size, '\0');
}

void PowerCuts::EndSync(FileState& file, bool good) {
  if (good && file.cut_to < SIZE_MAX && file.cut_at == file.syncing_cut_at) {
    file.durable.resize(std::min(file.durable.size(), file.cut_to));
    file.cut_to = SIZE_MAX;
  }
  for (const auto& [number, count] : file.syncing) {
    Sector& sector = file.pending[number];
    if (!good) {
      sector.doubtful = std::max(sector.doubtful, count);
    } else if (count > sector.doubtful) {
      const std::string& bytes = sector.versions[count - 1].bytes;
      const size_t from = number * kSectorBytes;
      file.durable.resize(std::max(file.durable.size(), from + bytes.size()));
      file.durable.replace(from, bytes.size(), bytes);
      sector.versions.erase(sector.versions.begin(), sector.versions.begin() + static_cast<std::ptrdiff_t>(count));
      sector.doubtful = 0;
      if (sector.versions.empty()) file.pending.erase(number);
    }
  }
  if (good) file.durable.resize(std::max(file.durable.size(), file.syncing_size));
  file.syncing.clear();
}

bool PowerCuts::Step() {
  if (at_ == log_.size()) return false;
  const DiskOp& op = log_[at_];
  switch (op.kind) {
    case DiskOp::Kind::kWrite: Write(op); break;
    case DiskOp::Kind::kResize: Resize(op); break;
    case DiskOp::Kind::kSyncBegin: {
      FileState& file = files_[op.file];
      file.syncing.clear();
      file.syncing_size = file.cache.size();
      file.syncing_cut_at = file.cut_at;
      for (const auto& [number, sector] : file.pending) file.syncing[number] = sector.versions.size();
      break;
    }
    case DiskOp::Kind::kSyncEnd: EndSync(files_[op.file], true); break;
    case DiskOp::Kind::kSyncFailed: EndSync(files_[op.file], false); break;
    case DiskOp::Kind::kCreate:
    case DiskOp::Kind::kRename:
    case DiskOp::Kind::kRemove: unsynced_names_.push_back(at_); break;
    case DiskOp::Kind::kSyncFolder:
      std::erase_if(unsynced_names_, [&](size_t one) {
        if (FolderOf(log_[one].path) != op.path) return false;
        Apply(log_[one], durable_names_);
        return true;
      });
      break;
    case DiskOp::Kind::kDropCache: {
      // Only what no failed sync has covered is still on its way.
      FileState& file = files_[op.file];
      file.cache = op.data;
      for (auto it = file.pending.begin(); it != file.pending.end();) {
        const Sector& sector = it->second;
        if (sector.doubtful < sector.versions.size()) {
          ++it;
          continue;
        }
        const size_t from = it->first * kSectorBytes;
        const std::string_view bytes = std::string_view(op.data).substr(std::min(from, op.data.size()), kSectorBytes);
        file.durable.resize(std::max(file.durable.size(), from + bytes.size()));
        file.durable.replace(from, bytes.size(), bytes);
        it = file.pending.erase(it);
      }
      break;
    }
    case DiskOp::Kind::kMark: break;
  }
  ++at_;
  return true;
}

std::string PowerCuts::ContentOf(const FileState& file, Random& random) const {
  std::string content = file.durable;
  // A cut has reached the disk, or not yet: then what was written behind it since lies where the old bytes did.
  if (file.cut_to < content.size() && random.Below(2) == 0) content.resize(file.cut_to);
  if (file.cache.size() > content.size()) {
    // The size is metadata: old, new, or somewhere between; what nobody wrote reads as zeros.
    const size_t grown = file.cache.size() - content.size();
    const uint64_t choice = random.Below(4);
    const size_t by = choice == 0 ? 0 : choice == 1 ? random.Below(grown + 1) / kSectorBytes * kSectorBytes : grown;
    content.resize(content.size() + by, '\0');
  }
  // The disk's temper in this cut: as the writes came until some moment; or each sector for itself, kept with some chance.
  const bool in_order = random.Below(4) == 0;
  const size_t until = at_ - std::min<size_t>(at_, random.Below(200));
  constexpr double kKept[] = {0.0, 0.1, 0.5, 0.9, 1.0};
  const double kept = kKept[random.Below(std::size(kKept))];
  constexpr double kBroken[] = {0.0, 0.05, 0.3};
  const double broken = kBroken[random.Below(std::size(kBroken))];
  for (const auto& [number, sector] : file.pending) {
    const size_t from = number * kSectorBytes;
    if (from >= content.size()) continue;
    const auto& versions = sector.versions;
    const Version* chosen = nullptr;  // null: what is durable
    if (in_order) {
      for (const Version& version : versions) {
        if (version.op <= until) chosen = &version;
      }
    } else if (random.Unit() < kept) {
      // Mostly the newest: the cache writes a page as it is at that moment.
      chosen = random.Below(4) == 0 ? &versions[random.Below(versions.size())] : &versions.back();
    }
    const std::string old = content.substr(from, kSectorBytes);
    std::string bytes = chosen == nullptr ? old : chosen->bytes;
    bytes.resize(old.size(), '\0');
    if (random.Unit() < broken) {
      if (random.Below(2) == 0) {
        const size_t cut = random.Below(bytes.size() + 1);
        const std::string& other = versions.back().bytes;
        for (size_t i = cut; i < bytes.size() && i < other.size(); ++i) bytes[i] = chosen == nullptr ? other[i] : old[i];
      } else {
        for (char& byte : bytes) byte = static_cast<char>(random.Below(256));
      }
    }
    content.replace(from, bytes.size(), bytes);
  }
  return content;
}

std::string PowerCuts::Reread(uint64_t number, Random& random) const {
  const FileState& file = files_.at(number);
  std::string content = file.cache;
  for (const auto& [sector_number, sector] : file.pending) {
    if (sector.doubtful < sector.versions.size()) continue;
    const size_t from = sector_number * kSectorBytes;
    if (from >= content.size() || random.Below(2) == 0) continue;  // it had been written before the sync failed
    // Where the file has grown there are zeros.
    std::string old = from < file.durable.size() ? file.durable.substr(from, kSectorBytes) : "";
    old.resize(std::min(kSectorBytes, content.size() - from), '\0');
    content.replace(from, old.size(), old);
  }
  return content;
}

DiskImage PowerCuts::Image(Random& random) const {
  Names names = durable_names_;
  // Journalling file systems keep the order of what is done to names: some prefix of it is there.
  const size_t count = random.Below(unsynced_names_.size() + 1);
  for (size_t i = 0; i < count; ++i) Apply(log_[unsynced_names_[i]], names);
  DiskImage image;
  for (const auto& [path, number] : names) {
    const auto file = files_.find(number);
    image[path] = file == files_.end() ? std::string() : ContentOf(file->second, random);
  }
  return image;
}

}  // namespace sluice::fakes
