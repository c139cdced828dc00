#include "gateway/intake/intake.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/status.h"
#include "base/uuid.h"
#include "gateway/intake/event_id.h"
#include "gateway/intake/routing.h"
#include "gateway/intake/snapshot_row.h"
#include "gateway/intake/validate.h"

namespace sluice::intake {
namespace {

using event::v1::DeviceEvent;

constexpr int64_t kSpaceWaitMs = 200;

void Count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

// `done` once everything that was written by now is safe, whichever queue it went to; with an error if the journal closes first.
void WhenAllIsSafe(journal::Journal& journal, devices::SafeCompletion done) {
  struct Barrier {
    std::mutex mutex;
    // Guarded by mutex.
    size_t open = kQueueCount;
    absl::Status status;
    devices::SafeCompletion done;
  };
  const auto barrier = std::make_shared<Barrier>();
  barrier->done = std::move(done);
  // Before the numbers: of an epoch that ends meanwhile everything is safe.
  const EpochId epoch = journal.epoch().id;
  for (const Queue queue : kAllQueues) {
    journal.WhenSafe(epoch, queue, journal.LastNumber(queue), [barrier](absl::Status status) {
      {
        const std::lock_guard lock(barrier->mutex);
        barrier->status.Update(status);
        if (--barrier->open > 0) return;
      }
      barrier->done(barrier->status);
    });
  }
}

}  // namespace

Intake::Intake(Options options, journal::Journal& journal, const Clock& clock, Random& random, ClockWatch& clock_watch,
               std::function<void(std::string)> store_reject)
    : options_(std::move(options)),
      journal_(journal),
      clock_(clock),
      random_(random),
      clock_watch_(clock_watch),
      chores_(std::make_shared<Chores>()),
      shop_(options_.shop),
      devices_(options_.max_devices, chores_,
               [this](const std::string& id) {
                 const std::lock_guard lock(rows_mutex_);
                 rows_[RowKey(options_.gateway, id)] = "";
               }),
      receipts_(chores_, options_.receipt_interval_ms),
      rejects_(options_.rejects, clock, std::move(store_reject)) {}

Intake::~Intake() {
  Shutdown();
  std::vector<std::shared_ptr<Device>> receipts, changed;
  const std::lock_guard lock(chores_->mutex);
  chores_->closed = true;
  receipts.swap(chores_->receipts);
  changed.swap(chores_->changed);
}

void Intake::Start() { receipts_.Start(); }

void Intake::Shutdown() {
  {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  receipts_.Stop();
}

void Intake::SetReceiptChannel(const std::string& source, devices::ReceiptChannel* channel) {
  receipts_.SetChannel(source, channel);
}

void Intake::SetShop(std::string shop) {
  const std::lock_guard lock(shop_mutex_);
  shop_ = std::move(shop);
}

std::string Intake::Shop() const {
  const std::lock_guard lock(shop_mutex_);
  return shop_;
}

absl::Status Intake::Accept(const std::string& source, const std::string& where, devices::DecodedEvent decoded) {
  return Take(source, where, decoded.event, Patience::kWait, nullptr);
}

absl::Status Intake::Offer(const std::string& source, const std::string& where, devices::DecodedEvent& decoded,
                           devices::SafeCompletion safe) {
  return Take(source, where, decoded.event, Patience::kReturn, std::move(safe));
}

void Intake::WhenRoom(absl::AnyInvocable<void()> room) {
  Count(counters_.space_waits);
  Count(*room_wanted_);
  // Also right where Offer only met another path of the same device: that one holds the device for long only while it waits
  // for the same room.
  journal_.WhenSpace([room = std::move(room), wanted = room_wanted_]() mutable {
    wanted->fetch_sub(1, std::memory_order_relaxed);
    room();
  });
}

absl::Status Intake::Take(const std::string& source, const std::string& where, DeviceEvent& event, Patience patience,
                          devices::SafeCompletion safe) {
  if (stopping_) return absl::UnavailableError("the gateway is stopping");
  if (absl::Status status = Validate(event, options_.gateway, Shop()); !status.ok()) {
    return Refuse(source, where, event, std::move(status));
  }
  // They were true, and have done their service: whose it is says the epoch, which may change before it is written.
  event.clear_gateway_id();
  event.clear_shop_id();
  const std::shared_ptr<Device> device = devices_.FindOrAdd(event.device_id(), clock_.MonotonicUs());
  std::unique_lock order(device->order, std::defer_lock);
  if (patience == Patience::kWait) {
    order.lock();
  } else if (!order.try_lock()) {
    return absl::ResourceExhaustedError("the device is giving an event on another path");
  }
  return TakeInOrder(device, source, where, event, patience, std::move(safe));
}

absl::Status Intake::TakeInOrder(const std::shared_ptr<Device>& device, const std::string& source, const std::string& where,
                                 DeviceEvent& event, Patience patience, devices::SafeCompletion safe) {
  Numbering numbering;
  if (event.has_sequence()) {
    numbering = {.numbered = true, .boot = event.sequence().boot(), .seq = event.sequence().seq()};
  } else if (!event.message_id().empty()) {
    numbering = {.named = true, .id = EventIdOf(event.device_id(), event.message_id())};
  }
  if (const Known known = NoteSpeaker(device, source, numbering, event); known != Known::kNew) {
    Count(counters_.duplicates);
    if (safe) AnswerDuplicate(known, std::move(safe));
    return absl::OkStatus();
  }
  if (numbering.numbered) {
    numbering.id = EventIdOf(event.device_id(), numbering.boot, numbering.seq);
  } else if (!numbering.named) {
    numbering.id = NewUuid7(clock_.WallMs(), random_);
  }
  Stamp(event, numbering.id);

  thread_local std::string bytes;   // keeps its memory from event to event
  if (event.ByteSizeLong() > options_.max_event_bytes || !event.SerializeToString(&bytes)) {
    return Refuse(source, where, event,
                  absl::InvalidArgumentError(StrCat("the event takes ", event.ByteSizeLong(), " bytes: at most ",
                                                    options_.max_event_bytes)));
  }
  const Queue queue = RouteOf(event.body_case())->queue;
  const int64_t received_ms = event.received_time_ms();
  const absl::StatusOr<uint64_t> number =
      patience == Patience::kReturn
          ? TryAppend({.queue = queue, .id = numbering.id, .accepted_ms = received_ms, .bytes = bytes},
                      CompletionOf(device, numbering, event, std::move(safe)))
          : AppendOrWait(queue, numbering.id, received_ms, bytes,
                         [&] { return CompletionOf(device, numbering, event, nullptr); });
  if (absl::IsInvalidArgument(number.status())) return Refuse(source, where, event, number.status());
  if (!number.ok()) return number.status();

  NoteTaken(*device, numbering, event);
  Count(counters_.accepted);
  tail_.Add([&](TailEntry& slot) {
    slot.queue = queue;
    slot.number = *number;
    slot.bytes.assign(bytes);
  });
  return absl::OkStatus();
}

Intake::Known Intake::NoteSpeaker(const std::shared_ptr<Device>& device, const std::string& source,
                                  const Numbering& numbering, const DeviceEvent& event) {
  const std::lock_guard lock(device->mutex);
  SetSource(*device, source);
  device->figures.last_seen_ms = clock_.WallMs();
  if (numbering.numbered) {
    // A duplicate is answered when its original is safe (R3): now, or by the original's completion.
    if (device->ranges.IsTaken(numbering.boot, numbering.seq)) {
      ++device->figures.duplicates;
      if (!device->ranges.IsSafe(numbering.boot, numbering.seq)) return Known::kTaken;
      OweBoot(device, numbering.boot);
      return Known::kSafe;
    }
    device->ranges.Touch(numbering.boot);
  } else if (numbering.named) {
    if (const auto safe = device->ids.Find(numbering.id)) {
      ++device->figures.duplicates;
      if (!*safe) return Known::kTaken;
      OweId(device, event.message_id());
      return Known::kSafe;
    }
  }
  return Known::kNew;
}

void Intake::AnswerDuplicate(Known known, devices::SafeCompletion safe) {
  if (known == Known::kSafe) return safe(absl::OkStatus());
  // The original was written, perhaps as another kind and so into another queue.
  WhenAllIsSafe(journal_, std::move(safe));
}

void Intake::Stamp(DeviceEvent& event, const EventId& id) const {
  event.set_event_id(id.bytes.data(), id.bytes.size());
  event.set_received_time_ms(clock_.WallMs());
  event.set_clock_state(clock_watch_.state());
  event.set_boot_id(clock_watch_.boot_id().bytes.data(), clock_watch_.boot_id().bytes.size());
  event.set_since_boot_ms(clock_.BootMs());
}

journal::Completion Intake::CompletionOf(const std::shared_ptr<Device>& device, const Numbering& numbering,
                                         const DeviceEvent& event, devices::SafeCompletion safe) const {
  // Must not touch the intake: the journal may outlive it. An error means that the journal was closed first: the device
  // gets no receipt and sends again.
  if (numbering.numbered) {
    return [device, boot = numbering.boot, seq = numbering.seq, safe = std::move(safe)](absl::Status status) mutable {
      if (status.ok()) {
        const std::lock_guard lock(device->mutex);
        device->ranges.MarkSafe(boot, seq);
        NoteChange(device);
        OweBoot(device, boot);
      }
      if (safe) safe(std::move(status));
    };
  }
  if (numbering.named) {
    return [device, id = numbering.id, message_id = event.message_id(), safe = std::move(safe)](absl::Status status) mutable {
      if (status.ok()) {
        const std::lock_guard lock(device->mutex);
        device->ids.MarkSafe(id);
        OweId(device, std::move(message_id));
      }
      if (safe) safe(std::move(status));
    };
  }
  if (safe) return safe;
  return [](absl::Status) {};
}

absl::StatusOr<uint64_t> Intake::TryAppend(journal::NewRecord record, journal::Completion completion) {
  absl::StatusOr<uint64_t> number = journal_.TryAppend(std::move(record), std::move(completion));
  if (number.ok() || absl::IsInvalidArgument(number.status())) return number;
  if (stopping_) return absl::UnavailableError("the gateway is stopping");
  // A failing disk, too: the journal goes on in a new segment as soon as it can.
  return absl::ResourceExhaustedError(AsAbsl(MessageOf(number.status())));
}

absl::StatusOr<uint64_t> Intake::AppendOrWait(Queue queue, const EventId& id, int64_t accepted_ms,
                                              const std::string& bytes,
                                              absl::FunctionRef<journal::Completion()> completion) {
  struct Waiting {   // counted for as long as it lives
    std::atomic<uint64_t>& gauge;
    explicit Waiting(std::atomic<uint64_t>& counter) : gauge(counter) { Count(gauge); }
    ~Waiting() { gauge.fetch_sub(1, std::memory_order_relaxed); }
  };
  std::optional<Waiting> waiting;
  while (true) {
    absl::StatusOr<uint64_t> number =
        journal_.Append({.queue = queue, .id = id, .accepted_ms = accepted_ms, .bytes = bytes}, completion());
    if (number.ok() || absl::IsInvalidArgument(number.status())) return number;
    if (stopping_) return absl::UnavailableError("the gateway is stopping");
    if (!waiting) {
      Count(counters_.space_waits);
      waiting.emplace(counters_.waiting);
    }
    if (absl::IsResourceExhausted(number.status())) {
      journal_.WaitForSpace(kSpaceWaitMs);
    } else {
      // A failing disk: the journal goes on in a new segment as soon as it can. Until then the source is held back.
      std::unique_lock lock(stop_mutex_);
      stopped_.wait_for(lock, std::chrono::milliseconds(kSpaceWaitMs), [this] { return stopping_.load(); });
    }
  }
}

void Intake::NoteTaken(Device& device, const Numbering& numbering, const DeviceEvent& event) {
  const std::lock_guard lock(device.mutex);
  ++device.figures.accepted;
  NoteState(device.figures, event);
  if (numbering.numbered) {
    if (device.ranges.MarkTaken(numbering.boot, numbering.seq)) {
      ++device.figures.late;
      Count(counters_.late);
    }
    NoteNumber(device, numbering.boot, numbering.seq);
  } else if (numbering.named) {
    device.ids.MarkTaken(numbering.id);
  }
}

void Intake::SetSource(Device& device, const std::string& source) {
  if (device.source == nullptr || device.source->name != source) device.source = receipts_.SourceOf(source);
}

absl::Status Intake::Refuse(const std::string& source, const std::string& where, const DeviceEvent& event,
                            absl::Status why) {
  if (absl::IsPermissionDenied(why)) Count(counters_.foreign);
  devices::Rejection rejection;
  rejection.source = source;
  rejection.where = where;
  rejection.device_id = event.device_id();
  rejection.reason = MessageOf(why);
  const auto route = RouteOf(event.body_case());
  // The outbox seals its table of refusals; yet whom a refused event names is of no use for mending it.
  const bool personal = !route || IsPersonal(route->queue);
  rejection.head = personal ? std::string(devices::kMayNameAPerson) : event.ShortDebugString();
  rejection.size = event.ByteSizeLong();
  rejection.has_sequence = event.has_sequence();
  rejection.boot = event.sequence().boot();
  rejection.seq = event.sequence().seq();
  rejection.message_id = event.message_id();
  Reject(std::move(rejection));
  return why;
}

void Intake::Reject(devices::Rejection rejection) {
  OweRefusal(rejection);
  rejects_.Add(std::move(rejection));
}

void Intake::OweRefusal(const devices::Rejection& rejection) {
  if (!IsDeviceId(rejection.device_id)) return;
  const std::shared_ptr<Source> source = receipts_.SourceOf(rejection.source);
  const bool answerable = source->channel.load(std::memory_order_acquire) != nullptr &&
                          (rejection.has_sequence || !rejection.message_id.empty()) &&
                          rejection.message_id.size() <= Limits::kMessageId;
  // Where there is nobody to tell, a message that cannot be used must not make a device known.
  const std::shared_ptr<Device> device = answerable ? devices_.FindOrAdd(rejection.device_id, clock_.MonotonicUs())
                                                    : devices_.Find(rejection.device_id);
  if (device == nullptr) return;
  const std::lock_guard lock(device->mutex);
  ++device->figures.rejected;
  if (!answerable) return;
  device->source = source;
  if (device->owed_refusals.size() < Device::kMaxOwed) {
    device->owed_refusals.push_back({.boot = rejection.has_sequence ? rejection.boot : 0,
                                     .seq = rejection.has_sequence ? rejection.seq : 0,
                                     .message_id = rejection.message_id,
                                     .reason = rejection.reason});
  }
  OweReceipt(device);
}

void Intake::CountRetained(const std::string&) { Count(counters_.retained); }

Figures Intake::figures() const {
  const auto read = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {.accepted = read(counters_.accepted),
          .duplicates = read(counters_.duplicates),
          .rejected = rejects_.count(),
          .foreign = read(counters_.foreign),
          .rejects_not_stored = rejects_.not_stored(),
          .retained = read(counters_.retained),
          .late = read(counters_.late),
          .receipts = receipts_.sent(),
          .space_waits = read(counters_.space_waits),
          .waiting = read(counters_.waiting) + read(*room_wanted_),
          .devices = devices_.size(),
          .snapshot_errors = read(counters_.snapshot_errors),
          .unreadable_records = read(counters_.unreadable_records)};
}

absl::Status Intake::PollClock() {
  const std::lock_guard lock(fix_mutex_);
  if (auto fix = clock_watch_.Poll()) {
    fix_ = *std::move(fix);
    fix_queues_.assign(kAllQueues.begin(), kAllQueues.end());
  }
  while (!fix_queues_.empty()) {
    RETURN_IF_ERROR(AppendFix(fix_queues_.back()));
    fix_queues_.pop_back();
  }
  return absl::OkStatus();
}

absl::Status Intake::AppendFix(Queue queue) {
  DeviceEvent event;
  const EventId id = NewUuid7(clock_.WallMs(), random_);
  event.set_device_id(options_.gateway);   // the gateway speaks for itself
  *event.mutable_clock_fix() = fix_;
  Stamp(event, id);
  const auto number = journal_.Append(
      {.queue = queue, .id = id, .accepted_ms = event.received_time_ms(), .bytes = event.SerializeAsString()},
      [](absl::Status) {});
  return WithContext(number.status(), StrCat("clock fix for ", QueueName(queue)));
}

}  // namespace sluice::intake
