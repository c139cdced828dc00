// schema.sql as text, embedded by CMake.
#pragma once

namespace sluice::outbox {
extern const char kSchemaSql[];
}  // namespace sluice::outbox
