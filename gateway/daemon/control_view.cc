#include "gateway/daemon/control_view.h"

#include <optional>
#include <utility>

#include "base/strings.h"
#include "gateway/daemon/event_text.h"

namespace sluice::daemon {
namespace {

namespace pb = control::v1;

void AddCounter(pb::GetStatusResponse& status, const std::string& name, int64_t value) {
  auto* counter = status.add_counters();
  counter->set_name(name);
  counter->set_value(value);
}

std::string ClockStateName(event::v1::ClockState state) {
  switch (state) {
    case event::v1::CLOCK_STATE_SYNCED: return "synced";
    case event::v1::CLOCK_STATE_HELD: return "held";
    default: return "unset";
  }
}

std::optional<pb::TailedEvent> Tailed(const intake::TailEntry& entry, const std::string& device) {
  event::v1::DeviceEvent event;
  if (!event.ParseFromString(entry.bytes)) return std::nullopt;
  if (!device.empty() && event.device_id() != device) return std::nullopt;
  pb::TailedEvent out;
  if (const auto id = Id128::FromBytes(event.event_id())) out.set_event_id(id->ToUuid());
  out.set_device_id(event.device_id());
  out.set_kind(KindName(event));
  out.set_queue(std::string(QueueName(entry.queue)));
  out.set_number(entry.number);
  out.set_received_ms(event.received_time_ms());
  out.set_summary(BodyJson(event));
  out.set_boot(event.sequence().boot());
  out.set_seq(event.sequence().seq());
  return out;
}

std::optional<pb::RejectedMessage> Rejected(const intake::RejectEntry& entry, const std::string& device) {
  if (!device.empty() && entry.device_id != device) return std::nullopt;
  pb::RejectedMessage out;
  out.set_at_ms(entry.at_ms);
  out.set_source(entry.source);
  out.set_where(entry.where);
  out.set_device_id(entry.device_id);
  out.set_reason(entry.reason);
  out.set_head(entry.head);
  out.set_size(entry.size);
  return out;
}

void AddStep(pb::TraceResponse& trace, const std::string& step, int64_t at_ms, std::string detail = "") {
  auto* added = trace.add_steps();
  added->set_step(step);
  added->set_at_ms(at_ms);
  added->set_detail(std::move(detail));
}

}  // namespace

ControlView::ControlView(Rooms rooms)
    : rooms_(std::move(rooms)), tail_watcher_(rooms_.intake.tail()), reject_watcher_(rooms_.intake.rejects()) {}

pb::GetStatusResponse ControlView::GetStatus() {
  pb::GetStatusResponse status;
  status.set_gateway_id(rooms_.gateway);
  status.set_version(rooms_.version);
  status.set_started_ms(rooms_.started_ms);
  const Epoch epoch = rooms_.journal.epoch();
  status.set_shop_id(epoch.shop);
  status.set_epoch(epoch.id.ToHex());
  status.set_clock_state(ClockStateName(rooms_.clock_watch.state()));

  const intake::Figures intake = rooms_.intake.figures();
  status.set_accepted(intake.accepted);
  status.set_duplicates(intake.duplicates);
  status.set_rejected(intake.rejected);
  status.set_devices(intake.devices);
  AddCounter(status, "intake_foreign", static_cast<int64_t>(intake.foreign));
  AddCounter(status, "intake_late", static_cast<int64_t>(intake.late));
  AddCounter(status, "intake_receipts", static_cast<int64_t>(intake.receipts));
  AddCounter(status, "intake_retained", static_cast<int64_t>(intake.retained));
  AddCounter(status, "intake_space_waits", static_cast<int64_t>(intake.space_waits));

  const journal::Figures journal = rooms_.journal.figures();
  AddCounter(status, "journal_appended", static_cast<int64_t>(journal.appended));
  AddCounter(status, "journal_appended_bytes", static_cast<int64_t>(journal.appended_bytes));
  AddCounter(status, "journal_syncs", static_cast<int64_t>(journal.syncs));
  AddCounter(status, "journal_sync_failures", static_cast<int64_t>(journal.sync_failures));
  AddCounter(status, "journal_short_writes", static_cast<int64_t>(journal.short_writes));
  AddCounter(status, "journal_bad_records", static_cast<int64_t>(journal.bad_records));
  AddCounter(status, "journal_segments", static_cast<int64_t>(journal.segments));
  AddCounter(status, "journal_waiting", static_cast<int64_t>(journal.waiting));
  AddCounter(status, "journal_position_failures", static_cast<int64_t>(journal.position_failures));
  AddCounter(status, "journal_foreign_segments", static_cast<int64_t>(journal.foreign_segments));
  for (const auto& [name, value] : rooms_.outbox.counters()) AddCounter(status, "outbox_" + name, value);
  for (const auto& [name, value] : rooms_.counters.Values()) AddCounter(status, name, value);

  for (const auto& driver : rooms_.drivers) {
    const devices::DriverStatus source = driver->Status();
    auto* added = status.add_sources();
    added->set_name(source.name);
    added->set_state(source.state);
    added->set_detail(source.detail);
    added->set_promise(source.promise);
    added->set_events(source.events);
    added->set_rejected(source.rejected);
    for (const auto& [name, value] : source.figures) {
      auto* figure = added->add_figures();
      figure->set_name(name);
      figure->set_value(static_cast<int64_t>(value));
    }
  }
  pb::ListQueuesResponse queues = ListQueues();
  status.mutable_queues()->Swap(queues.mutable_queues());
  for (const auto& warning : rooms_.warnings.List()) {
    auto* added = status.add_warnings();
    added->set_code(warning.code);
    added->set_text(warning.text);
    added->set_since_ms(warning.since_ms);
  }
  return status;
}

pb::ListDevicesResponse ControlView::ListDevices() {
  pb::ListDevicesResponse response;
  for (const auto& device : rooms_.intake.devices()) {
    auto* added = response.add_devices();
    added->set_device_id(device.id);
    added->set_source(device.source);
    added->set_state(device.figures.offline_by_will ? "offline (last will)" : device.figures.state);
    added->set_last_seen_ms(device.figures.last_seen_ms);
    added->set_accepted(device.figures.accepted);
    added->set_duplicates(device.figures.duplicates);
    added->set_rejected(device.figures.rejected);
    added->set_boot(device.figures.boot);
    added->set_last_seq(device.figures.last_seq);
    added->set_late(device.figures.late);
  }
  return response;
}

pb::ListQueuesResponse ControlView::ListQueues() {
  pb::ListQueuesResponse response;
  for (const auto& link : rooms_.uplink.Status()) {
    const outbox::QueueFigures held = rooms_.outbox.figures(link.queue);
    auto* queue = response.add_queues();
    queue->set_name(std::string(QueueName(link.queue)));
    queue->set_service(link.address);
    queue->set_link(std::string(sync::LinkStateName(link.link)));
    queue->set_detail(link.last_alarm.empty() ? link.detail : StrCat(link.last_alarm, link.detail.empty() ? "" : "; ", link.detail));
    queue->set_pending(held.pending);
    queue->set_pending_bytes(held.pending_bytes);
    queue->set_stored(held.stored);
    queue->set_acknowledged(held.acknowledged);
    queue->set_oldest_ms(held.oldest_pending_ms);
    queue->set_ack_time_us(link.figures.ack_time_us);
    queue->set_next_try_ms(link.next_try_ms);
    queue->set_dead_letters(link.figures.dead_letters);
    queue->set_gaps(held.gaps);
    queue->set_last_number(held.last_number);
    queue->set_in_flight(link.figures.in_flight_items);
  }
  return response;
}

pb::ListDeadLettersResponse ControlView::ListDeadLetters() {
  pb::ListDeadLettersResponse response;
  for (const DeadLetterEntry& letter : rooms_.dead_letters.List()) {
    auto* added = response.add_dead_letters();
    const std::string epoch = letter.epoch.ToHex();
    added->set_id(StrCat(rooms_.gateway, "/", QueueName(letter.queue), "/", epoch, "/", letter.number));
    added->set_queue(std::string(QueueName(letter.queue)));
    added->set_epoch(epoch);
    added->set_number(letter.number);
    added->set_reason(letter.reason);
    added->set_at_ms(letter.at_ms);
    if (letter.event_id && !letter.event_id->IsZero()) added->set_event_id(letter.event_id->ToUuid());
  }
  response.set_forgotten(rooms_.dead_letters.forgotten());
  return response;
}

absl::StatusOr<pb::TraceResponse> ControlView::Trace(const EventId& id) {
  auto found = rooms_.outbox.Find(id);
  if (!found.ok()) return found.status();
  const outbox::History& history = *found;
  event::v1::DeviceEvent event;
  event.ParseFromString(history.item.bytes);

  pb::TraceResponse trace;
  trace.set_event_id(id.ToUuid());
  trace.set_device_id(event.device_id());
  trace.set_kind(KindName(event));
  trace.set_queue(std::string(QueueName(history.item.queue)));
  trace.set_epoch(history.item.epoch.ToHex());
  trace.set_number(history.item.first);
  trace.set_body_json(BodyJson(event));
  AddStep(trace, "received", event.received_time_ms(), ClockStateName(event.clock_state()) + " clock");
  AddStep(trace, "journalled", history.journalled_ms);
  if (history.synced_ms != 0) AddStep(trace, "synced", history.synced_ms);
  if (history.stored) AddStep(trace, "stored", history.stored_ms);
  if (history.sent_ms != 0 || history.acknowledged) AddStep(trace, "sent", history.sent_ms);
  if (history.acknowledged) AddStep(trace, "acknowledged", history.acknowledged_ms);
  return trace;
}

pb::SyncNowResponse ControlView::SyncNow() {
  pb::SyncNowResponse response;
  for (const auto& link : rooms_.uplink.Status()) {
    if (link.link != sync::LinkState::kStreaming) response.add_queues(std::string(QueueName(link.queue)));
  }
  rooms_.uplink.SyncNow();
  return response;
}

std::unique_ptr<control::Stream<pb::TailedEvent>> ControlView::Tail(const pb::TailRequest& request, control::Wake wake) {
  return tail_watcher_.Open<pb::TailedEvent>(
      request.last(), std::move(wake),
      [device = request.device_id()](const intake::TailEntry& entry) { return Tailed(entry, device); });
}

std::unique_ptr<control::Stream<pb::RejectedMessage>> ControlView::TailRejected(const pb::TailRequest& request,
                                                                                control::Wake wake) {
  return reject_watcher_.Open<pb::RejectedMessage>(
      request.last(), std::move(wake),
      [device = request.device_id()](const intake::RejectEntry& entry) { return Rejected(entry, device); });
}

}  // namespace sluice::daemon
