// SQLite on a recorded disk: every database file of a folder, its journals and its write-ahead log lie on a RecordedDisk, in
// one order with whatever else is written there.
//
// Behaves as SQLite's own VFS for Unix does where it matters to what a power cut leaves: psow as the URI says (on if it says
// nothing), 4 KiB sectors, the folder synced with the first sync of a journal or log that was made anew, short writes finished.
// The index of a log is memory, and gone with the last connection.
#pragma once

#include <string>

#include "tests/fakes/recorded_disk.h"

namespace sluice::fakes {

// While one lives the files below `folder` are on `disk`; all others where they always were. The first one makes the VFS
// "recorded" the default of the process. Two at a time need two folders. No connection may outlive it.
class RecordedVfs {
 public:
  // Both outlive it.
  RecordedVfs(std::string folder, RecordedDisk& disk);
  ~RecordedVfs();
  RecordedVfs(const RecordedVfs&) = delete;
  RecordedVfs& operator=(const RecordedVfs&) = delete;

 private:
  const std::string folder_;
};

}  // namespace sluice::fakes
