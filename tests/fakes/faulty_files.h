// A FileSystem over a real folder that tears writes, fails syncs, and forgets what was not synced when the power goes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "base/strings.h"

namespace sluice::fakes {

// Thread-safe. Files stay usable until it is destroyed.
class FaultyFiles final : public FileSystem {
 public:
  // How many bytes of this write arrive; the whole size: all. Negative: the write fails with EIO.
  using OnWrite = std::function<int64_t(const std::string& path, uint64_t offset, size_t size)>;
  // What Sync answers; on an error nothing becomes durable.
  using OnSync = std::function<absl::Status(const std::string& path)>;

  void SetOnWrite(OnWrite hook) {
    std::lock_guard lock(mu_);
    on_write_ = std::move(hook);
  }
  void SetOnSync(OnSync hook) {
    std::lock_guard lock(mu_);
    on_sync_ = std::move(hook);
  }
  uint64_t syncs() const {
    std::lock_guard lock(mu_);
    return syncs_;
  }

  // Every 512-byte sector that was written since its file's last good sync keeps its new content, falls back to the
  // old, or is garbage: as `random` says. Nobody may have a file open for writing any more.
  void PowerCut(Random& random) {
    std::lock_guard lock(mu_);
    for (auto& [path, durable] : durable_) {
      auto file = real_.Open(path, Mode::kReadWrite);
      if (!file.ok()) continue;
      std::string now = (*file)->ReadAt(0, durable.size()).value_or("");
      for (size_t at = 0; at < durable.size(); at += 512) {
        const size_t size = std::min<size_t>(512, durable.size() - at);
        if (now.compare(at, size, durable, at, size) == 0) continue;
        switch (random.Below(8)) {
          case 0:
            for (size_t i = 0; i < size; ++i) now[at + i] = static_cast<char>(random.Below(256));
            break;
          case 1:
          case 2:
          case 3:
            break;
          default:
            now.replace(at, size, durable, at, size);
        }
      }
      (*file)->WriteAt(0, now).IgnoreError();
      durable = now;
    }
  }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    auto file = real_.Open(path, mode);
    if (!file.ok()) return file.status();
    std::lock_guard lock(mu_);
    if (!durable_.contains(path)) {
      durable_[path] = (*file)->ReadAt(0, (*file)->Size().value_or(0)).value_or("");
    }
    return std::make_unique<FaultyFile>(*this, path, *std::move(file));
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override { return real_.List(folder); }
  Look LookAt(const std::string& path) override { return real_.LookAt(path); }
  absl::Status MakeFolder(const std::string& path) override { return real_.MakeFolder(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    const absl::Status status = real_.Rename(from, to);
    std::lock_guard lock(mu_);
    if (status.ok() && durable_.contains(from)) {
      durable_[to] = std::move(durable_[from]);
      durable_.erase(from);
      renamed_[from] = to;
    }
    return status;
  }
  absl::Status Remove(const std::string& path) override {
    std::lock_guard lock(mu_);
    durable_.erase(path);
    return real_.Remove(path);
  }
  absl::Status SyncFolder(const std::string& folder) override { return real_.SyncFolder(folder); }

 private:
  class FaultyFile final : public File {
   public:
    FaultyFile(FaultyFiles& owner, std::string path, std::unique_ptr<File> file)
        : owner_(owner), path_(std::move(path)), file_(std::move(file)) {}
    absl::StatusOr<size_t> WriteAt(uint64_t offset, std::string_view data) override {
      int64_t arrives = static_cast<int64_t>(data.size());
      OnWrite hook;
      {
        std::lock_guard lock(owner_.mu_);
        hook = owner_.on_write_;
      }
      if (hook) arrives = hook(owner_.NameOf(path_), offset, data.size());
      if (arrives < 0) return absl::InternalError(StrCat("write ", path_, ": injected"));
      return file_->WriteAt(offset, data.substr(0, static_cast<size_t>(arrives)));
    }
    absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) const override {
      return file_->ReadAt(offset, size);
    }
    absl::Status Sync() override {
      OnSync hook;
      {
        std::lock_guard lock(owner_.mu_);
        hook = owner_.on_sync_;
      }
      const std::string name = owner_.NameOf(path_);
      if (hook) {
        if (absl::Status status = hook(name); !status.ok()) return status;
      }
      std::lock_guard lock(owner_.mu_);
      ++owner_.syncs_;
      owner_.durable_[name] = file_->ReadAt(0, file_->Size().value_or(0)).value_or("");
      return absl::OkStatus();
    }
    absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }
    absl::Status Resize(uint64_t size) override { return file_->Resize(size); }

   private:
    FaultyFiles& owner_;
    const std::string path_;
    const std::unique_ptr<File> file_;
  };

  // A file is known by the name it has now.
  std::string NameOf(const std::string& path) const {
    std::lock_guard lock(mu_);
    const auto renamed = renamed_.find(path);
    return renamed == renamed_.end() ? path : renamed->second;
  }

  PosixFileSystem real_;
  mutable std::mutex mu_;
  std::map<std::string, std::string> durable_;
  std::map<std::string, std::string> renamed_;
  OnWrite on_write_;
  OnSync on_sync_;
  uint64_t syncs_ = 0;
};

}  // namespace sluice::fakes
