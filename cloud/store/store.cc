#include "cloud/store/store.h"

#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "base/status.h"
#include "cloud/store/backup.h"
#include "cloud/store/connection.h"

namespace sluice::store {
namespace {

constexpr Sql kBegin{"BEGIN IMMEDIATE"};
constexpr Sql kBeginRead{"BEGIN"};
constexpr Sql kCommit{"COMMIT"};
constexpr Sql kRollback{"ROLLBACK"};
constexpr Sql kCheckpoint{"PRAGMA wal_checkpoint(PASSIVE)", "", "iii"};
constexpr Sql kAppliedVersion{"SELECT checksum FROM schema_version WHERE component = ? AND number = ?", "ti", "i"};
constexpr Sql kNewestVersion{"SELECT coalesce(max(number), 0) FROM schema_version WHERE component = ?", "t", "i"};
constexpr Sql kInsertVersion{"INSERT INTO schema_version(component, number, name, checksum) VALUES(?, ?, ?, ?)", "titi"};
constexpr Sql kHasPositions{"SELECT count(*) FROM sqlite_master WHERE type = 'view' AND name = 'last_position'", "", "i"};
constexpr Sql kLastPosition{"SELECT position FROM last_position", "", "i"};
constexpr const char* kVersionTable =
    "CREATE TABLE IF NOT EXISTS schema_version("
    "component TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, checksum BIGINT NOT NULL, "
    "PRIMARY KEY(component, number))";

}  // namespace

absl::StatusOr<Statement*> Transaction::Prepare(const Sql& sql) { return &connection_.Prepare(sql); }

int64_t Transaction::NextPosition() { return next_position_++; }

void Transaction::Join(Participant& participant) {
  if (std::find(participants_.begin(), participants_.end(), &participant) == participants_.end()) {
    participants_.push_back(&participant);
  }
}

absl::StatusOr<Statement*> Transaction::OnlyRow(Statement* statement) {
  ASSIGN_OR_RETURN(const bool found, statement->Next());
  if (!found) return static_cast<Statement*>(nullptr);
  // To the end, so that the snapshot is let go; the values of the row stay.
  ASSIGN_OR_RETURN(const bool more, statement->Next());
  if (more) return absl::InternalError("more than one row under a unique key");
  return statement;
}

Store::Store(StoreOptions options) : options_(std::move(options)), checkpoint_at_(options_.checkpoint_pages) {}

Store::~Store() {
  std::lock_guard lock(write_mutex_);
  free_readers_.clear();
  if (writer_ != nullptr) Checkpoint().IgnoreError();
}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const StoreOptions& options,
                                                   const std::vector<Component>& components) {
  std::unique_ptr<Store> store(new Store(options));
  ASSIGN_OR_RETURN(store->lock_, LockDatabase(options.path));
  std::lock_guard lock(store->write_mutex_);
  RETURN_IF_ERROR(store->OpenWriter());
  RETURN_IF_ERROR(WithContext(store->Migrate(components), options.path));
  store->writer_.reset();
  RETURN_IF_ERROR(store->OpenWriter());   // reads the position, which the schema may just have brought
  return store;
}

absl::Status Store::OpenWriter() {
  writer_.reset();
  // What a sync that failed has left in the page cache reads well and is nowhere else, whatever later syncs say. A commit that
  // was refused may still be found, but only where it is durable.
  PosixFileSystem machine;
  FileSystem& files = options_.files != nullptr ? *options_.files : machine;
  if (const auto log = files.Open(options_.path + "-wal", FileSystem::Mode::kRead); log.ok()) (*log)->DropCache();
  // The database's own handle stays open for as long as there are connections: closing any would end SQLite's locks on the file,
  // of which a process has one set (fcntl(2)), and the next one who closes it elsewhere would take the log away under us.
  if (database_ == nullptr) {
    if (auto file = files.Open(options_.path, FileSystem::Mode::kRead); file.ok()) database_ = *std::move(file);
  }
  if (database_ != nullptr) database_->DropCache();
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> writer, Connection::Open(options_.path, true, options_.cache_kib));
  int64_t ignored = 0;
  Transaction transaction(*writer, ignored);
  ASSIGN_OR_RETURN(Statement * has, transaction.Find(kHasPositions));
  if (has->Int(0) != 0) {
    ASSIGN_OR_RETURN(Statement * last, transaction.Find(kLastPosition));
    next_position_ = std::max(next_position_, last->Int(0) + 1);
    committed_position_.store(last->Int(0), std::memory_order_release);
  }
  writer_ = std::move(writer);
  return absl::OkStatus();
}

absl::Status Store::Migrate(const std::vector<Component>& components) {
  RETURN_IF_ERROR(writer_->Script(kVersionTable));
  int64_t ignored = 0;
  Transaction transaction(*writer_, ignored);
  for (const Component& component : components) {
    for (const Migration& migration : component.migrations) {
      const std::string name = StrCat(component.name, "/", migration.name);
      const int64_t checksum = Crc32c(migration.sql);
      ASSIGN_OR_RETURN(Statement * applied, transaction.Find(kAppliedVersion, component.name, migration.number));
      if (applied != nullptr) {
        if (applied->Int(0) == checksum) continue;
        return absl::FailedPreconditionError(StrCat("schema ", name, " was changed after it was applied"));
      }
      RETURN_IF_ERROR(writer_->Run(kBegin));
      absl::Status status = writer_->Script(migration.sql);
      if (status.ok()) {
        status = transaction.Run(kInsertVersion, component.name, migration.number, migration.name, checksum).status();
      }
      if (status.ok()) status = writer_->Run(kCommit);
      if (!status.ok()) {
        writer_->Run(kRollback).IgnoreError();
        return WithContext(status, StrCat("schema ", name));
      }
    }
    const int64_t known = component.migrations.empty() ? 0 : component.migrations.back().number;
    ASSIGN_OR_RETURN(Statement * newest, transaction.Find(kNewestVersion, component.name));
    if (newest->Int(0) > known) {
      return absl::FailedPreconditionError(StrCat("schema ", component.name, " is at ", newest->Int(0),
                                                  ", this program knows up to ", known));
    }
  }
  return absl::OkStatus();
}

absl::Status Store::Write(Work work) {
  bool advanced = false;
  {
    std::lock_guard lock(write_mutex_);
    if (writer_ == nullptr || writer_->broken()) RETURN_IF_ERROR(OpenWriter());
    RETURN_IF_ERROR(writer_->Run(kBegin));
    const int64_t before = next_position_;
    Transaction transaction(*writer_, next_position_);
    absl::Status status = work(transaction);
    writer_->EndQueries();
    if (status.ok()) status = writer_->Run(kCommit);
    for (Participant* participant : transaction.participants_) participant->Ended(status.ok());
    if (!status.ok()) {
      // It fails where SQLite rolled back by itself (full disk, I/O error).
      writer_->Run(kRollback).IgnoreError();
      if (writer_->broken()) writer_.reset();
      return status;
    }
    if (next_position_ != before) {
      committed_position_.store(next_position_ - 1, std::memory_order_release);
      advanced = true;
    }
    if (writer_->wal_pages() < options_.checkpoint_pages) {
      checkpoint_at_ = options_.checkpoint_pages;
    } else if (writer_->wal_pages() >= checkpoint_at_) {
      // A reader's snapshot may have kept the WAL from beginning anew: then not again after each commit.
      checkpoint_at_ = writer_->wal_pages() + options_.checkpoint_pages / 4;
      Checkpoint().IgnoreError();
    }
  }
  if (advanced) {
    for (const auto& listener : listeners_) listener();
  }
  return absl::OkStatus();
}

absl::Status Store::Read(Work work) {
  std::unique_ptr<Connection> reader;
  {
    std::unique_lock lock(read_mutex_);
    reader_free_.wait(lock, [&] { return !free_readers_.empty() || readers_ < options_.readers; });
    if (!free_readers_.empty()) {
      reader = std::move(free_readers_.back());
      free_readers_.pop_back();
    } else {
      ++readers_;
    }
  }
  absl::Status status;
  if (reader == nullptr) {
    absl::StatusOr<std::unique_ptr<Connection>> opened = Connection::Open(options_.path, false, 0);
    if (opened.ok()) reader = *std::move(opened);
    status = opened.status();
  }
  if (status.ok()) status = reader->Run(kBeginRead);
  if (status.ok()) {
    int64_t none = 0;
    Transaction transaction(*reader, none);
    status = work(transaction);
    reader->EndQueries();
    absl::Status end = reader->Run(kCommit);
    if (status.ok()) status = end;
    if (!end.ok()) reader.reset();
  }
  {
    std::lock_guard lock(read_mutex_);
    if (reader != nullptr && !reader->broken()) {
      free_readers_.push_back(std::move(reader));
    } else {
      --readers_;
    }
  }
  reader_free_.notify_one();
  return status;
}

absl::Status Store::ReadOnce(const std::string& path, Work work) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> reader, Connection::Open(path, false, 0));
  int64_t none = 0;
  Transaction transaction(*reader, none);
  return work(transaction);
}

absl::Status Store::CheckpointWhenIdle() {
  std::unique_lock lock(write_mutex_, std::try_to_lock);
  if (!lock.owns_lock() || writer_ == nullptr || writer_->wal_pages() < options_.idle_checkpoint_pages) {
    return absl::OkStatus();
  }
  return Checkpoint();
}

absl::Status Store::Checkpoint() {
  int64_t ignored = 0;
  Transaction transaction(*writer_, ignored);
  ASSIGN_OR_RETURN(Statement * row, transaction.Find(kCheckpoint));
  // Frames that a reader's snapshot still needs stay; the next one takes them. What is left counts for the idle limit.
  if (row != nullptr) writer_->set_wal_pages(row->Int(1) - row->Int(2));
  return absl::OkStatus();
}

}  // namespace sluice::store
