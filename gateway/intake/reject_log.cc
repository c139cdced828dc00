#include "gateway/intake/reject_log.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "gateway/intake/utf8.h"
#include "gateway/intake/wire.h"

namespace sluice::intake {
namespace {

constexpr uint64_t kRowVersion = 1;
constexpr size_t kHead = 1024;
constexpr size_t kReason = 512;
constexpr size_t kName = 256;

RejectEntry EntryOf(devices::Rejection rejection, int64_t at_ms) {
  RejectEntry entry;
  entry.at_ms = at_ms;
  entry.source = Printable(rejection.source, kName);
  entry.where = Printable(rejection.where, kName);
  entry.device_id = Printable(rejection.device_id, kName);
  entry.reason = Printable(rejection.reason, kReason);
  entry.size = rejection.size;
  if (rejection.head != devices::kMayNameAPerson) entry.size = std::max<uint64_t>(entry.size, rejection.head.size());
  entry.head = std::move(rejection.head);
  if (entry.head.size() > kHead) entry.head = entry.head.substr(0, kHead);
  return entry;
}

}  // namespace

std::string EncodeReject(const RejectEntry& entry) {
  std::string row;
  row.reserve(entry.Bytes());
  PutVarint(row, kRowVersion);
  PutVarint(row, static_cast<uint64_t>(entry.at_ms));
  PutVarint(row, entry.size);
  for (const std::string* text : {&entry.source, &entry.where, &entry.device_id, &entry.reason, &entry.head}) {
    PutText(row, *text);
  }
  return row;
}

absl::StatusOr<RejectEntry> DecodeReject(std::string_view row) {
  RejectEntry entry;
  uint64_t version = 0, at_ms = 0;
  bool good = TakeVarint(row, version) && version == kRowVersion && TakeVarint(row, at_ms) && TakeVarint(row, entry.size);
  for (std::string* text : {&entry.source, &entry.where, &entry.device_id, &entry.reason, &entry.head}) {
    good = good && TakeText(row, *text);
  }
  if (!good || !row.empty()) return absl::DataLossError("rejected message: the row cannot be read");
  entry.at_ms = static_cast<int64_t>(at_ms);
  return entry;
}

RejectLog::RejectLog(Options options, const Clock& clock, std::function<void(std::string)> store)
    : NewestRing(1000, 1u << 20),
      options_(options),
      clock_(clock),
      store_(std::move(store)),
      tokens_(options.stored_burst),
      filled_us_(clock.MonotonicUs()) {}

void RejectLog::Add(devices::Rejection rejection) {
  count_.fetch_add(1, std::memory_order_relaxed);
  RejectEntry entry = EntryOf(std::move(rejection), clock_.WallMs());
  if (store_ && MayStore()) {
    store_(EncodeReject(entry));
  } else {
    not_stored_.fetch_add(1, std::memory_order_relaxed);
  }
  NewestRing::Add([&entry](RejectEntry& slot) { slot = std::move(entry); });
}

size_t RejectLog::Restore(const std::vector<std::string>& rows) {
  size_t unreadable = 0;
  for (const std::string& row : rows) {
    auto entry = DecodeReject(row);
    if (!entry.ok()) {
      ++unreadable;
      continue;
    }
    NewestRing::Add([&entry](RejectEntry& slot) { slot = *std::move(entry); });
  }
  return unreadable;
}

bool RejectLog::MayStore() {
  const std::lock_guard lock(mutex_);
  const int64_t now_us = clock_.MonotonicUs();
  tokens_ = std::min(options_.stored_burst,
                     tokens_ + static_cast<double>(now_us - filled_us_) / 1e6 * options_.stored_per_second);
  filled_us_ = now_us;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

}  // namespace sluice::intake
