#include "tests/sync/model_store.h"

#include <algorithm>
#include <utility>

#include "cloud/ingest/plan.h"
#include "tests/sync/model_outbox.h"

namespace sluice::sync {

ModelStore::ModelStore(Random& random) : random_(random) {
  random_.Fill(content_.generation.bytes);
  snapshot_ = content_;
}

absl::StatusOr<ingest::Opening> ModelStore::Open(const std::string& gateway, Queue queue,
                                                 const std::string& hardware_id, const std::vector<Epoch>& epochs) {
  const std::lock_guard lock(mutex_);
  if (TakeFailure()) return absl::UnavailableError("model store fails");
  LeaseRow& row = content_.leases[{gateway, queue}];
  const bool lasting = !row.token.IsZero() && (clock_ == nullptr || row.expires_us > clock_->MonotonicUs());
  switch (ingest::DecideLease(row.holder, lasting, hardware_id, epochs)) {
    case ingest::LeaseVerdict::kOtherHardware: return absl::FailedPreconditionError("held by other hardware");
    case ingest::LeaseVerdict::kSecondBox: return absl::FailedPreconditionError("held by another box");
    case ingest::LeaseVerdict::kTake: break;
  }
  row.holder = ingest::TakenLease(std::move(row.holder), hardware_id, epochs);
  random_.Fill(row.token.bytes);
  row.expires_us = ExpiryUs();
  ingest::Opening opening;
  opening.lease = {.gateway = gateway, .queue = queue, .token = row.token};
  opening.generation = content_.generation;
  for (const Epoch& epoch : epochs) {
    Row& cursor = content_.cursors[{gateway, queue, epoch.id}];
    cursor.shop = epoch.shop;
    opening.cursors.push_back({.epoch = epoch.id, .number = cursor.number, .event_id = cursor.id});
    const auto& letters = content_.dead_letters[{gateway, queue, epoch.id}];
    opening.dead_letters.insert(opening.dead_letters.end(), letters.begin(), letters.end());
  }
  return opening;
}

absl::StatusOr<ingest::Applied> ModelStore::Apply(const ingest::Lease& lease, const EpochId& epoch,
                                                  const std::vector<Item>& items) {
  const std::lock_guard lock(mutex_);
  ++applies_;
  if (TakeFailure()) return absl::UnavailableError("model store fails");
  if (!Renewed(lease)) return absl::FailedPreconditionError("not your lease");
  const Key key{lease.gateway, lease.queue, epoch};
  Row& row = content_.cursors[key];
  const ingest::Plan plan = ingest::PlanBatch(row.number, items);
  if (plan.expected != 0) return absl::OutOfRangeError(absl::StrCat("expected ", plan.expected));
  ingest::Applied applied;
  for (size_t i = plan.skip; i < plan.skip + plan.accept; ++i) {
    const Item& item = items[i];
    if (item.IsGap()) {
      content_.losses.push_back(
          {.epoch = epoch, .first = std::max(item.first, row.number + 1), .last = item.last, .reason = item.gap});
      row.id = EventId{};
    } else {
      row.id = IdOfPayload(item.bytes);
      if (poison_ && poison_(item.bytes)) {
        applied.dead_letters.push_back({.epoch = epoch, .number = item.first, .reason = "unprocessable"});
        content_.dead_letters[key].push_back(applied.dead_letters.back());
      } else if (content_.effect_ids.emplace(row.shop, row.id).second) {
        content_.effects.push_back({.gateway = lease.gateway,
                                    .queue = lease.queue,
                                    .shop = row.shop,
                                    .epoch = epoch,
                                    .number = item.first,
                                    .payload = item.bytes});
      } else {
        ++repeats_;
      }
    }
    row.number = item.last;
  }
  applied.cursor = row.number;
  return applied;
}

absl::Status ModelStore::Renew(const ingest::Lease& lease) {
  const std::lock_guard lock(mutex_);
  return Renewed(lease) ? absl::OkStatus() : absl::FailedPreconditionError("not your lease");
}

void ModelStore::Release(const ingest::Lease& lease) {
  const std::lock_guard lock(mutex_);
  if (Holds(lease)) content_.leases[{lease.gateway, lease.queue}].token = Id128{};
}

void ModelStore::SetPoison(std::function<bool(const std::string&)> poison) {
  const std::lock_guard lock(mutex_);
  poison_ = std::move(poison);
}

void ModelStore::FailNext(int calls) {
  const std::lock_guard lock(mutex_);
  failures_ = calls;
}

void ModelStore::UseClock(const Clock& clock, int64_t lease_ms) {
  const std::lock_guard lock(mutex_);
  clock_ = &clock;
  lease_us_ = lease_ms * 1000;
}

void ModelStore::ExpireLeases() {
  const std::lock_guard lock(mutex_);
  for (auto& [key, row] : content_.leases) row.token = Id128{};
}

void ModelStore::TakeSnapshot() {
  const std::lock_guard lock(mutex_);
  snapshot_ = content_;
}

void ModelStore::RestoreSnapshot() {
  const std::lock_guard lock(mutex_);
  content_ = snapshot_;
  for (auto& [key, row] : content_.leases) row.token = Id128{};
  random_.Fill(content_.generation.bytes);
}

std::vector<Effect> ModelStore::effects() const {
  const std::lock_guard lock(mutex_);
  return content_.effects;
}

std::vector<DeclaredLoss> ModelStore::losses() const {
  const std::lock_guard lock(mutex_);
  return content_.losses;
}

bool ModelStore::leased(const std::string& gateway, Queue queue) const {
  const std::lock_guard lock(mutex_);
  const auto it = content_.leases.find({gateway, queue});
  return it != content_.leases.end() && !it->second.token.IsZero();
}

uint64_t ModelStore::applies() const {
  const std::lock_guard lock(mutex_);
  return applies_;
}

uint64_t ModelStore::repeats() const {
  const std::lock_guard lock(mutex_);
  return repeats_;
}

void ModelStore::SetCursor(const std::string& gateway, Queue queue, const EpochId& epoch, uint64_t number, EventId id) {
  const std::lock_guard lock(mutex_);
  content_.cursors[{gateway, queue, epoch}] = Row{.number = number, .id = id};
}

bool ModelStore::TakeFailure() {
  if (failures_ == 0) return false;
  --failures_;
  return true;
}

int64_t ModelStore::ExpiryUs() const { return clock_ == nullptr ? 0 : clock_->MonotonicUs() + lease_us_; }

bool ModelStore::Renewed(const ingest::Lease& lease) {
  if (!Holds(lease)) return false;
  content_.leases[{lease.gateway, lease.queue}].expires_us = ExpiryUs();
  return true;
}

bool ModelStore::Holds(const ingest::Lease& lease) const {
  const auto it = content_.leases.find({lease.gateway, lease.queue});
  return it != content_.leases.end() && it->second.token == lease.token;
}

}  // namespace sluice::sync
