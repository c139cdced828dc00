// SOCI as this folder uses it; nobody else includes it. Debian's headers want Boost's for types that are not used here.
#pragma once

#include <soci/soci-config.h>
#undef SOCI_HAVE_BOOST
#undef SOCI_HAVE_BOOST_DATE_TIME
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "base/strings.h"

namespace sluice::store {

// The one place where exceptions become statuses. Never InvalidArgument, FailedPrecondition or AlreadyExists: those are
// the business's words for a record that cannot be accepted, and a failing disk must not sound like one.
// Unavailable, ResourceExhausted and DataLoss are the store's own failures; Internal may be the statement's fault.
// `broken` is set when the connection is not to be used again.
inline absl::Status StatusOf(const std::exception& error, bool& broken) {
  const auto* sqlite = dynamic_cast<const soci::sqlite3_soci_error*>(&error);
  if (sqlite == nullptr) return absl::InternalError(error.what());
  switch (sqlite->result() & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(error.what());
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(error.what());
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_NOMEM:
      broken = true;
      return absl::UnavailableError(error.what());
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      broken = true;
      return absl::DataLossError(error.what());
    default:
      return absl::InternalError(error.what());
  }
}

// Runs `call`, which may throw.
template <typename Call>
absl::Status Guard(bool& broken, Call&& call) {
  try {
    std::forward<Call>(call)();
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return StatusOf(error, broken);
  }
}

}  // namespace sluice::store
