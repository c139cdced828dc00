// Backups of the services' stores: taken while they run, put back while they do not.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"

namespace sluice::cloud {

struct BackupOptions {
  std::string data_dir;
  std::vector<std::string> services;   // empty: those that have a store there
  std::string to;                      // a folder that is not there yet
};

// Copies each store as one state of its own, by name <service>.db; they may be a moment apart. The folder comes into being
// whole and durable, or not at all. The files of published events are not in it: what they tell is in the stores.
// AlreadyExists: `to` does, or "<to>.partial", where another one is being taken or was killed. NotFound: no store.
// Returns the services.
absl::StatusOr<std::vector<std::string>> Backup(const BackupOptions& options);

struct RestoreOptions {
  std::string from;                    // a folder that Backup made
  std::string data_dir;                // made if it is not there
  std::vector<std::string> services;   // empty: all that are in the backup
  bool replace = false;                // stores that are there are set aside; never deleted
};

struct Restored {
  std::vector<std::string> services;
  std::string set_aside;               // the folder in data_dir with what was there; empty: nothing was
};

// Puts stores back under a new generation, so that gateways send again what they still have and the stores lack, and
// declare lost what neither has. Everything is copied, checked (quick_check, schema) and brought up to this program's
// schema before the first store is touched.
// FailedPrecondition: a process runs on one of the stores, or the backup is of a newer program. AlreadyExists: there is a
// store and not `replace`. DataLoss: the backup is not sound. After a kill in the middle the call repeated finishes it.
absl::StatusOr<Restored> Restore(const RestoreOptions& options, const Clock& clock, Random& random);

}  // namespace sluice::cloud
