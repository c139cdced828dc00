// Opening the database, whatever is in its place: damaged, of another version, half there, or nothing where nothing new can
// be made. The daemon starts in any case (delivery case 13).
#include <algorithm>

#include "base/status.h"
#include "gateway/outbox/outbox_impl.h"

namespace sluice::outbox {
namespace {

constexpr const char* kSuffixes[] = {"-wal", "-shm", ""};
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kLogHeaderBytes = 32;

using Kind = FileSystem::Look::Kind;

// Something else than a file under one of its names keeps SQLite from opening, after it has tried for ten seconds.
bool IsStranger(FileSystem& files, const std::string& name) { return files.LookAt(name).kind == Kind::kOther; }

// Returns the new names.
std::vector<std::string> SetStrangersAside(FileSystem& files, const std::string& path) {
  std::vector<std::string> moved;
  for (const char* suffix : kSuffixes) {
    const std::string name = StrCat(path, suffix);
    if (!IsStranger(files, name)) continue;
    int n = 1;
    while (files.LookAt(StrCat(name, ".bad-", n)).kind != Kind::kNothing) ++n;
    const std::string aside = StrCat(name, ".bad-", n);
    if (files.Rename(name, aside).ok()) moved.push_back(aside.substr(aside.rfind('/') + 1));
  }
  return moved;
}

// What a sync that failed has left in the page cache reads well and is nowhere else, whatever later syncs say: a commit that was
// refused would be taken for stored, and the journal would let go of it.
void DropCaches(FileSystem& files, const std::string& path) {
  for (const char* suffix : {"", "-wal"}) {
    if (const auto file = files.Open(StrCat(path, suffix), FileSystem::Mode::kRead); file.ok()) (*file)->DropCache();
  }
}

// Beside an empty or missing database SQLite deletes the write-ahead log, which may have everything. False: that could not
// be mended, and nobody may open it.
bool KeepLog(FileSystem& files, const std::string& path) {
  DropCaches(files, path);
  const bool log = files.LookAt(StrCat(path, "-wal")).size > kLogHeaderBytes;
  const FileSystem::Look database = files.LookAt(path);
  if (!log || database.size > 0) return true;
  // A page of zeros that takes no room; the log's own first page goes before it.
  const bool there = database.kind != Kind::kNothing;
  const auto file = files.Open(path, there ? FileSystem::Mode::kReadWrite : FileSystem::Mode::kCreateNew);
  return file.ok() && (*file)->Resize(kPageBytes).ok() && (*file)->Sync().ok();
}

absl::Status NoDatabaseForLog() { return absl::ResourceExhaustedError("outbox.db is empty, and the log beside it is not"); }

}  // namespace

absl::StatusOr<uint64_t> NextOrdinal(const std::string& folder, FileSystem& files) {
  const std::string path = StrCat(folder, "/outbox.db");
  // None yet, or none that can be read: the journal still raises it above what its segments say.
  if (std::any_of(std::begin(kSuffixes), std::end(kSuffixes),
                  [&](const char* suffix) { return IsStranger(files, StrCat(path, suffix)); }) ||
      !KeepLog(files, path)) {
    return 1;
  }
  absl::StatusOr<sqlite::Database> db = sqlite::Database::Open(path, {.create = false});
  if (!db.ok()) return 1;
  const absl::StatusOr<int64_t> highest = db->QueryInt("SELECT ifnull(max(ordinal), 0) FROM streams");
  return highest.ok() ? static_cast<uint64_t>(*highest) + 1 : 1;
}

absl::StatusOr<sqlite::Database> OpenForReading(const std::string& path) {
  // As it is; then with the index of the log in memory, for which a full disk has no room; then without the log.
  enum Way { kNormal, kExclusive, kImmutable };
  for (const Way way : {kNormal, kExclusive, kImmutable}) {
    const bool immutable = way == kImmutable;
    absl::StatusOr<sqlite::Database> db =
        sqlite::Database::Open(path, {.read_only = immutable, .create = false, .immutable = immutable});
    if (!db.ok()) continue;
    if (way == kExclusive && !db->Exec("PRAGMA locking_mode=EXCLUSIVE").ok()) continue;
    if (db->QueryInt("SELECT count(*) FROM sqlite_schema").ok()) return db;
  }
  return absl::DataLossError(StrCat(path, " is not a database any more"));
}

std::string OutboxImpl::MoveAway(const std::string& path, std::string_view mark) {
  const std::vector<std::string> names = files_.List(options_.folder).value_or(std::vector<std::string>());
  std::string aside;
  for (int n = 1;; ++n) {
    aside = StrCat("outbox.db.", mark, "-", n);
    if (!std::binary_search(names.begin(), names.end(), aside)) break;
  }
  bool moved = false;
  for (const char* suffix : kSuffixes) {
    moved = files_.Rename(StrCat(path, suffix), StrCat(options_.folder, "/", aside, suffix)).ok();
  }
  files_.SyncFolder(options_.folder).IgnoreError();
  return moved ? aside : "";
}

std::string OutboxImpl::SetAside(std::string_view mark) {
  const std::string aside = MoveAway(path_, mark);
  if (aside.empty()) return "";
  Lock lock(mu_);
  report_.set_aside.push_back(aside);
  return StrCat(options_.folder, "/", aside);
}

void OutboxImpl::Salvaged(const std::string& path) {
  const std::string aside = MoveAway(path, "bad");
  if (aside.empty()) return;
  Lock lock(mu_);
  std::erase(report_.set_aside, path.substr(path.rfind('/') + 1));
  report_.set_aside.push_back(aside);
}

absl::Status OutboxImpl::OpenStore() {
  RETURN_IF_ERROR(files_.MakeFolder(options_.folder));
  store_ = std::make_unique<Store>(Store::Options{.path = path_, .quota_bytes = options_.quota_bytes}, sealer_);
  std::vector<std::unique_ptr<Stream>> streams;
  report_.set_aside = SetStrangersAside(files_, path_);
  const bool mended = KeepLog(files_, path_);
  absl::Status status = mended ? store_->Open() : NoDatabaseForLog();
  if (status.ok()) {
    auto loaded = store_->Streams();
    status = loaded.status();
    if (loaded.ok()) streams = *std::move(loaded);
  }
  if (!mended) {
    WriterFailed(status);
  } else if (!status.ok()) {
    streams = WithoutDatabase(status);
  }
  TakeStreams(std::move(streams), journal_.epoch().gateway);
  if (!store_->is_open()) return absl::OkStatus();
  // The one of just now, and any whose salvage an earlier run did not live to finish.
  SalvageAtStart();
  return absl::OkStatus();
}

std::vector<std::string> OutboxImpl::SalvageFiles() const {
  std::vector<std::string> names = files_.List(options_.folder).value_or(std::vector<std::string>());
  std::erase_if(names, [](const std::string& name) {
    return !name.starts_with("outbox.db.salvaging-") || name.ends_with("-wal") || name.ends_with("-shm");
  });
  return names;
}

// The database cannot be used. Afterwards there is a new one in its place or, where none can be made, none: then what can be
// read of the old one is returned and goes to the cloud all the same, older epochs before newer ones (R10).
std::vector<std::unique_ptr<Stream>> OutboxImpl::WithoutDatabase(absl::Status why) {
  report_.warnings.emplace_back(MessageOf(why));
  std::vector<std::unique_ptr<Stream>> streams;
  const auto load = [&](const std::string& path) {
    absl::StatusOr<sqlite::Database> db = OpenForReading(path);
    if (!db.ok()) return false;
    auto loaded = outbox::LoadStreams(*db);
    if (loaded.ok()) streams = *std::move(loaded);
    return loaded.ok();
  };
  std::string source;
  // An empty one is what an earlier start could not fill.
  const FileSystem::Look look = files_.LookAt(path_);
  const bool there = look.size > 0 || look.kind == Kind::kOther;
  // Perhaps it is the disk: full, read-only, failing. A file that can be read is not given up for that.
  const bool damaged = absl::IsDataLoss(why) || absl::IsUnimplemented(why);
  if (there && !damaged && load(path_)) {
    source = path_;
  } else if (there) {
    const bool version = absl::IsUnimplemented(why);
    const std::string aside = SetAside(version ? "version" : "salvaging");
    why = store_->Open();
    if (why.ok()) return {};
    report_.warnings.emplace_back(MessageOf(why));
    if (aside.empty() && !version && load(path_)) source = path_;
  }
  for (const std::string& name : SalvageFiles()) {
    const std::string path = StrCat(options_.folder, "/", name);
    if (!source.empty()) {
      holes_may_be_salvaged_ |= OpenForReading(path).ok();
    } else if (load(path)) {
      source = aside_ = path;
    }
  }
  store_->Close(source);
  WriterFailed(why);
  return streams;
}

absl::Status OutboxImpl::EnsureStore() {
  if (!store_->is_open()) {
    absl::Status opened = KeepLog(files_, path_) ? store_->Open() : NoDatabaseForLog();
    if (absl::IsDataLoss(opened) && aside_.empty()) {
      // Open while it could only be read, damaged now that it can be written.
      aside_ = SetAside("salvaging");
      if (aside_.empty()) return opened;
      store_->Close(aside_);
      opened = store_->Open();
    }
    RETURN_IF_ERROR(opened);
    if (!aside_.empty()) {
      absl::StatusOr<std::vector<Rescue>> rescues = AddStreamsAnew();
      if (!rescues.ok()) {
        store_->Close(aside_);
        return rescues.status();
      }
      Salvage salvage{.path = aside_, .rescues = *std::move(rescues)};
      absl::StatusOr<sqlite::Database> db = OpenForReading(aside_);
      if (db.ok()) salvage.db = std::make_shared<sqlite::Database>(*std::move(db));
      salvages_.push_back(std::move(salvage));
      aside_.clear();
    }
    FindSalvages();
    Lock lock(mu_);
    ++renewals_;
    snapshot_needed_ = true;
    holes_may_be_salvaged_ = false;
  }
  return FinishSalvages();
}

absl::Status OutboxImpl::Renew() {
  store_->Close("");
  aside_ = SetAside("salvaging");
  if (aside_.empty()) {
    store_->Close(path_);
    return absl::ResourceExhaustedError("the damaged outbox cannot be set aside");
  }
  store_->Close(aside_);
  {
    Lock lock(mu_);
    ++counters_["databases_set_aside"];
  }
  return EnsureStore();
}

absl::Status OutboxImpl::RenewUnlessDone(int64_t renewals_seen) {
  return OnWriter([=, this]() -> absl::Status {
    {
      Lock lock(mu_);
      if (renewals_ != renewals_seen) return absl::OkStatus();  // another reader met the same damage
    }
    const absl::Status renewed = store_->is_open() ? Renew() : EnsureStore();
    if (!renewed.ok()) WriterFailed(renewed);
    return renewed;
  });
}

}  // namespace sluice::outbox
