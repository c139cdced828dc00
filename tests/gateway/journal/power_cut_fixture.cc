#include "tests/gateway/journal/power_cut_fixture.h"

#include <chrono>
#include <thread>

#include "base/strings.h"
#include "gateway/outbox/outbox.h"
#include "tests/fakes/temp_folder.h"

namespace sluice::journal {
namespace {

constexpr uint64_t kBlock = 4096;

EventId IdOf(uint64_t n) {
  EventId id;
  for (int i = 0; i < 8; ++i) id.bytes[i] = static_cast<uint8_t>(n >> (8 * i));
  id.bytes[15] = 0x5A;
  return id;
}

// Mostly small; some as large as is allowed.
std::string BodyOf(uint64_t n, size_t most) {
  std::string body = StrCat("event ", n, " ");
  const size_t size = n % 23 == 0 ? (n * 7919) % most : (n * 131) % 300;
  while (body.size() < size) body.push_back(static_cast<char>('a' + (n + body.size()) % 26));
  body.resize(std::min(body.size(), most));
  return body;
}

// The journal's lock is a real file in a real folder of the same name; everything else is on the recorded disk.
const std::string& LockFolder() {
  static const fakes::TempFolder folder;
  return folder.path();
}

}  // namespace

void Keep(const Mark& mark, Promise& promise) {
  switch (mark.kind) {
    case Mark::Kind::kOpened:
      promise.running = mark.epoch;
      promise.synced = promise.closing = false;
      break;
    case Mark::Kind::kClosing: promise.closing = true; break;
    case Mark::Kind::kSafe: {
      Promise::Stream& stream = promise.epochs[mark.epoch][QueueIndex(mark.queue)];
      stream.safe.insert(mark.number);
      promise.synced |= mark.epoch == promise.running && mark.number > stream.gone_to;
      break;
    }
    case Mark::Kind::kGone: {
      uint64_t& gone = promise.epochs[mark.epoch][QueueIndex(mark.queue)].gone_to;
      gone = std::max(gone, mark.number);
      break;
    }
  }
}

Session::Session(const Shape& shape, Truth& truth, Promise promise, fakes::DiskImage image, uint64_t seed)
    : shape_(shape),
      truth_(truth),
      promise_at_start_(std::move(promise)),
      disk_(std::move(image), seed + 3),
      dice_(seed),
      fate_(seed + 1),
      ids_(seed + 2),
      promise_(promise_at_start_) {
  if (shape.sealed) sealer_ = std::make_unique<Sealer>(std::array<uint8_t, Sealer::kKeyBytes>{7});
  disk_.SetOnWrite([this](const std::string& path, uint64_t offset, size_t size) { return Written(path, offset, size); });
  disk_.SetOnSync([this](const std::string&) { return Synced(); });
}

Session::~Session() { PowerOff(); }

void Session::PowerOff() {
  disk_.SetDead(true);
  journal_.reset();
}

void Session::Note(Mark mark) {
  const std::lock_guard lock(mu_);
  Keep(mark, promise_);
  marks_.push_back(mark);
  disk_.Mark(marks_.size() - 1);
}

fakes::RecordedDisk::WriteFate Session::Written(const std::string& path, uint64_t offset, size_t size) {
  if (write_faults_ > 0) {
    --write_faults_;
    switch (write_fault_kind_) {
      case 0: {  // short
        const size_t arrives = fate_.Below(4) == 0 ? size - 1 : fate_.Below(size);
        return {arrives, arrives};
      }
      case 1: return {0, absl::InternalError("injected: EIO")};
      default: return {0, absl::ResourceExhaustedError("injected: ENOSPC")};
    }
  }
  if (offset >= 2 * kBlock && !path.ends_with(".new")) unsynced_ += size;
  return {size, size};
}

absl::Status Session::Synced() {
  {
    std::unique_lock lock(gate_mu_);
    if (gate_state_ == Gate::kArmed) {
      gate_state_ = Gate::kHeld;
      gate_.notify_all();
      // Bounded: an Append that needs another segment waits for this sync.
      gate_.wait_for(lock, std::chrono::milliseconds(10), [&] { return gate_state_ == Gate::kOpen; });
      gate_state_ = Gate::kOpen;
    }
  }
  if (sync_faults_ > 0) {
    --sync_faults_;
    return absl::InternalError("injected: EIO");
  }
  return absl::OkStatus();
}

void Session::Open() {
  Options options = shape_.options;
  options.folder = LockFolder();
  auto journal = Journal::Open(options, "gw", "shop", 1, disk_, clock_, ids_, sealer_.get());
  ASSERT_TRUE(journal.ok()) << "a journal opens on whatever a power cut leaves: " << journal.status();
  journal_ = *std::move(journal);
  const Epoch& epoch = journal_->epoch();
  for (const EpochTruth& known : truth_.epochs) ASSERT_NE(known.id, epoch.id);
  std::set<EpochId> ids;
  for (const EpochTruth& known : truth_.epochs) ids.insert(known.id);
  for (const Epoch& found : journal_->found().epochs) {
    EXPECT_TRUE(ids.contains(found.id)) << "an epoch that never was";
    EXPECT_LT(found.ordinal, epoch.ordinal);
    EXPECT_EQ(found.gateway, "gw");
  }
  if (promise_.synced && !promise_.closing) {
    EXPECT_FALSE(journal_->found().clean_stop) << "nobody closed it";
  }
  epoch_ = truth_.epochs.size();
  truth_.epochs.push_back({.id = epoch.id, .ordinal = epoch.ordinal});
}

void Session::CheckStream(size_t epoch, Queue queue) {
  const EpochTruth& truth = truth_.epochs[epoch];
  const auto& stream = truth.streams[QueueIndex(queue)];
  const std::string where = StrCat("epoch ", epoch, " ", QueueName(queue), " number ");
  std::set<uint64_t> have;
  const absl::Status status = journal_->Read(truth.id, queue, 1, UINT64_MAX, [&](Item item) {
    EXPECT_TRUE(have.empty() || item.first > *have.rbegin()) << where << item.first << " out of order";
    EXPECT_FALSE(item.IsGap());
    EXPECT_EQ(item.epoch, truth.id);
    have.insert(item.first);
    uint64_t n = 0;
    for (int i = 0; i < 8; ++i) n |= static_cast<uint64_t>(item.id.bytes[i]) << (8 * i);
    const auto offered = stream.offered.find(item.first);
    EXPECT_TRUE(offered != stream.offered.end() && offered->second.contains(n)) << where << item.first << " is invented";
    EXPECT_EQ(item.bytes, BodyOf(n, shape_.options.max_record_bytes)) << where << item.first;
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  const auto promised = promise_.epochs.find(epoch);
  if (promised == promise_.epochs.end()) return;
  const Promise::Stream& promise = promised->second[QueueIndex(queue)];
  const Journal::Span span = journal_->Holds(truth.id, queue);
  for (auto number = promise.safe.upper_bound(promise.gone_to); number != promise.safe.end(); ++number) {
    ASSERT_TRUE(have.contains(*number)) << where << *number << " was safe and is lost";
    EXPECT_LE(span.first, *number) << where;
    EXPECT_GE(span.last, *number) << where;
    journal_->Read(truth.id, queue, *number, *number, [&](const Item& item) {
      EXPECT_EQ(item.id, IdOf(stream.taken.at(*number))) << where << *number << " is another event";
      return true;
    }).IgnoreError();
  }
}

void Session::Check() {
  const std::lock_guard lock(mu_);
  for (size_t epoch = 0; epoch < truth_.epochs.size(); ++epoch) {
    for (const Queue queue : kAllQueues) CheckStream(epoch, queue);
    if (testing::Test::HasFatalFailure()) return;
  }
}

// The intake answers repetitions of what it finds in the journal as safe.
void Session::PromiseWhatIsThere() {
  std::vector<Mark> marks;
  for (size_t epoch = 0; epoch < epoch_; ++epoch) {
    for (const Queue queue : kAllQueues) {
      const absl::Status status = journal_->Read(truth_.epochs[epoch].id, queue, 1, UINT64_MAX, [&](const Item& item) {
        // What was offered and refused, and lies there nevertheless, is this number's event from now on.
        uint64_t n = 0;
        for (int i = 0; i < 8; ++i) n |= static_cast<uint64_t>(item.id.bytes[i]) << (8 * i);
        truth_.epochs[epoch].streams[QueueIndex(queue)].taken[item.first] = n;
        marks.push_back({Mark::Kind::kSafe, epoch, queue, item.first});
        return true;
      });
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  for (const Mark& mark : marks) Note(mark);
}

void Session::Sync() {
  journal_->Sync().IgnoreError();
  unsynced_ = 0;
}

void Session::Append(bool in_sync) {
  const Queue queue = kAllQueues[dice_.Below(kQueueCount)];
  const uint64_t number = journal_->LastNumber(queue) + 1;
  const uint64_t n = truth_.next_content++;
  auto& stream = truth_.epochs[epoch_].streams[QueueIndex(queue)];
  stream.offered[number].insert(n);
  stream.taken[number] = n;  // before Append, for the completion may come within it
  const bool completes = dice_.Below(4) > 0;
  const auto done = [&]() -> Completion {
    if (!completes) return nullptr;
    return [this, mark = Mark{Mark::Kind::kSafe, epoch_, queue, number}](absl::Status status) {
      if (status.ok()) Note(mark);
    };
  };
  const NewRecord record{queue, IdOf(n), static_cast<int64_t>(n), BodyOf(n, shape_.options.max_record_bytes)};
  absl::StatusOr<uint64_t> taken = absl::ResourceExhaustedError("not tried");
  const bool impatient = dice_.Below(2) == 0;
  if (impatient) taken = journal_->TryAppend(record, done());
  // Refused for the moment, while segments are changed, or for want of space: who may wait learns which.
  if (!taken.ok() && !(impatient && in_sync)) taken = journal_->Append(record, done());
  if (taken.ok()) {
    ASSERT_EQ(*taken, number);
    // So much makes the journal sync by itself. Waiting for it keeps a seed's log the same each time.
    if (unsynced_ >= shape_.options.segment_bytes / 2 && !in_sync) Sync();
    return;
  }
  stream.taken.erase(number);
  if (absl::IsResourceExhausted(taken.status())) MakeRoom();
}

// As the outbox would: everything so far is stored elsewhere.
void Session::MakeRoom() {
  for (size_t epoch = 0; epoch <= epoch_; ++epoch) {
    for (const Queue queue : kAllQueues) {
      const uint64_t last = epoch == epoch_ ? journal_->LastNumber(queue) : UINT64_MAX;
      if (epoch == epoch_ && last == 0) continue;
      Note({Mark::Kind::kGone, epoch, queue, last});
      journal_->Release(truth_.epochs[epoch].id, queue, last);
    }
  }
  write_faults_ = sync_faults_ = 0;
  clock_.AdvanceMs(1100);                          // when a full journal looks again
  journal_->LinkUp(Queue::kShopBulk, true);        // wakes it, for its clock is ours
  ASSERT_TRUE(journal_->WaitForSpace(20'000));
}

// Records that are written while a sync is under way.
void Session::AppendDuringSync() {
  {
    const std::lock_guard lock(gate_mu_);
    gate_state_ = Gate::kArmed;
  }
  std::atomic<bool> done = false;
  std::thread sync([&] {
    journal_->Sync().IgnoreError();
    const std::lock_guard lock(gate_mu_);
    done = true;
    gate_.notify_all();
  });
  {
    std::unique_lock lock(gate_mu_);
    gate_.wait(lock, [&] { return gate_state_ == Gate::kHeld || done; });
  }
  while (dice_.Below(4) > 0) Append(/*in_sync=*/true);
  {
    const std::lock_guard lock(gate_mu_);
    gate_state_ = Gate::kOpen;
    gate_.notify_all();
  }
  sync.join();
  Sync();
}

// The cloud acknowledges, or the outbox has stored, some of it.
void Session::Forget() {
  const size_t epoch = dice_.Below(3) == 0 ? dice_.Below(epoch_ + 1) : epoch_;
  const Queue queue = kAllQueues[dice_.Below(kQueueCount)];
  const EpochId& id = truth_.epochs[epoch].id;
  const uint64_t last = epoch == epoch_ ? journal_->LastNumber(queue) : journal_->Holds(id, queue).last;
  if (last == 0) return;
  const uint64_t through = 1 + dice_.Below(last);
  Note({Mark::Kind::kGone, epoch, queue, through});
  if (dice_.Below(2) == 0) journal_->Acknowledged(id, queue, through, 1000);
  journal_->Release(id, queue, through);
}

void Session::Fault() {
  if (dice_.Below(2) == 0) {
    sync_faults_ = 1 + static_cast<int>(dice_.Below(3));
  } else {
    write_fault_kind_ = static_cast<int>(dice_.Below(3));
    write_faults_ = 1 + static_cast<int>(dice_.Below(4));
  }
}

void Session::Step() {
  if (dice_.Unit() < shape_.faults) Fault();
  switch (dice_.Below(24)) {
    case 0: Sync(); break;
    case 1: AppendDuringSync(); break;
    case 2: Forget(); break;
    case 3:
      // What waits is due, and the syncer looks.
      clock_.AdvanceMs(static_cast<int64_t>(dice_.Below(100)));
      journal_->LinkUp(kAllQueues[dice_.Below(kQueueCount)], dice_.Below(2) == 0);
      Sync();
      break;
    default: Append(/*in_sync=*/false);
  }
}

void Session::Live(bool kill) {
  Open();
  if (testing::Test::HasFailure()) return;
  Check();
  if (testing::Test::HasFailure()) return;
  PromiseWhatIsThere();
  Note({.kind = Mark::Kind::kOpened, .epoch = epoch_});
  for (int i = 0; i < shape_.steps && !testing::Test::HasFatalFailure(); ++i) Step();
  write_faults_ = 0;
  if (!testing::Test::HasFailure()) Check();
  if (kill) {
    disk_.SetDead(true);
    journal_.reset();
    disk_.SetDead(false);
  } else {
    Note({.kind = Mark::Kind::kClosing});
    journal_.reset();
  }
  sync_faults_ = 0;
}

void Session::RecoverThroughOutbox() {
  Open();
  if (testing::Test::HasFailure()) return;
  const fakes::TempFolder folder;
  auto outbox = outbox::Outbox::Open({.folder = folder.path()}, *journal_, clock_, sealer_.get(), nullptr);
  ASSERT_TRUE(outbox.ok()) << outbox.status();
  for (size_t epoch = 0; epoch < epoch_; ++epoch) {
    const EpochTruth& truth = truth_.epochs[epoch];
    for (const Queue queue : kAllQueues) {
      std::map<uint64_t, EventId> have;
      uint64_t first = 0, last = 0;
      for (const sync::Held& held : (*outbox)->HeldEpochs(queue)) {
        if (held.epoch.id == truth.id) first = held.first, last = held.last;
      }
      for (uint64_t next = first; next != 0 && next <= last;) {
        const auto items = (*outbox)->Read(queue, truth.id, next, {});
        ASSERT_TRUE(items.ok()) << items.status();
        ASSERT_FALSE(items->empty()) << QueueName(queue) << " ends at " << next << ", not at " << last;
        for (const Item& item : *items) {
          ASSERT_EQ(item.first, next) << "contiguous";
          if (!item.IsGap()) have[item.first] = item.id;
          next = item.last + 1;
        }
      }
      const std::lock_guard lock(mu_);
      const auto promised = promise_.epochs.find(epoch);
      if (promised == promise_.epochs.end()) continue;
      const Promise::Stream& promise = promised->second[QueueIndex(queue)];
      for (auto number = promise.safe.upper_bound(promise.gone_to); number != promise.safe.end(); ++number) {
        ASSERT_TRUE(have.contains(*number)) << QueueName(queue) << " " << *number << " was safe and is declared lost";
        EXPECT_EQ(have[*number], IdOf(truth.streams[QueueIndex(queue)].taken.at(*number)));
      }
    }
  }
  ASSERT_TRUE((*outbox)->Close().ok());
  outbox->reset();
  journal_.reset();
}

}  // namespace sluice::journal
