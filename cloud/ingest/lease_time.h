// The time by which leases end. It is not the wall clock, whose jump would free a lease that is held or keep one that nobody
// holds (delivery rule R13).
//
// An instant is milliseconds on a timeline; figures of two timelines say nothing about each other. A process is a timeline:
// its monotonic clock, under a name drawn at its start. What an earlier process granted ends a full term after this one
// started, for how long the store stood closed is known to nobody. Replicas over one database share the timeline of its
// clock instead, under one fixed name, read in the transaction that holds the row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::ingest {

class LeaseTime {
 public:
  // `started_ms`: on the timeline, when it began to grant leases of `term_ms`.
  LeaseTime(std::string timeline, int64_t started_ms, int64_t term_ms)
      : timeline_(std::move(timeline)), started_ms_(started_ms), term_ms_(term_ms) {}

  const std::string& timeline() const { return timeline_; }
  int64_t EndOf(int64_t granted_ms) const { return granted_ms + term_ms_; }

  // Ms that a lease noted as (timeline, end) still has at `now_ms`; 0: it is over.
  int64_t LeftMs(std::string_view timeline, int64_t end_ms, int64_t now_ms) const {
    const int64_t end = timeline == timeline_ ? end_ms : EndOf(started_ms_);
    return std::clamp<int64_t>(end - now_ms, 0, term_ms_);
  }

 private:
  const std::string timeline_;
  const int64_t started_ms_;
  const int64_t term_ms_;
};

}  // namespace sluice::ingest
