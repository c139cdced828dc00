// What may be done with a record before any business looks at it. Pure.
#pragma once

#include <string>

#include "base/item.h"
#include "cloud/ingest/apply.h"

namespace sluice::ingest {

enum class Finding {
  kApply,
  kKeep,    // well formed, of a kind that this program does not know
  kForeign, // claims another gateway or shop
  kDead,    // can never be accepted
};

struct Examined {
  Finding finding = Finding::kApply;
  std::string reason;   // of kForeign and kDead
};

// Decodes `bytes` into `event` and checks what holds for every kind: event_id of 16 bytes, device id of 1 to 64
// A-Z a-z 0-9 . _ - not beginning with a dot (none for a clock fix), claims, times that are dates, texts without NUL
// (a store on PostgreSQL could not hold it) of at most 1 KiB.
Examined Examine(const std::string& bytes, const Origin& origin, event::v1::DeviceEvent& event);

}  // namespace sluice::ingest
