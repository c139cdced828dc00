// A disk without room for SQLite: while one lives, what the program's databases write fails with SQLITE_FULL.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <map>
#include <mutex>

namespace sluice::fakes {

// Make one before the first database of the program is opened; Fill and Free at will.
class FullDisk {
 public:
  FullDisk() {
    if (sqlite3_vfs_find("full-disk") != nullptr) return;
    real() = sqlite3_vfs_find(nullptr);
    static sqlite3_vfs shim = *real();
    shim.zName = "full-disk";
    shim.xOpen = &Open;
    sqlite3_vfs_register(&shim, 1);
  }
  ~FullDisk() { Free(); }
  void Fill() { full() = true; }
  void Free() { full() = false; }

 private:
  static sqlite3_vfs*& real() {
    static sqlite3_vfs* vfs = nullptr;
    return vfs;
  }
  static std::atomic<bool>& full() {
    static std::atomic<bool> value = false;
    return value;
  }
  static int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_out) {
    const int code = real()->xOpen(real(), name, file, flags, flags_out);
    if (code != SQLITE_OK || file->pMethods == nullptr) return code;
    // Locking differs from file to file, writing does not.
    static std::mutex mu;
    static std::map<const sqlite3_io_methods*, sqlite3_io_methods> copies;
    static const auto write = file->pMethods->xWrite;
    const std::lock_guard lock(mu);
    const auto [at, added] = copies.try_emplace(file->pMethods, *file->pMethods);
    if (added) {
      at->second.xWrite = [](sqlite3_file* to, const void* data, int size, sqlite3_int64 offset) {
        return full() ? SQLITE_FULL : write(to, data, size, offset);
      };
    }
    file->pMethods = &at->second;
    return code;
  }
};

}  // namespace sluice::fakes
