#include "gateway/intake/device.h"

#include <algorithm>

namespace sluice::intake {
namespace {

std::string_view StateName(event::v1::Status::State state) {
  switch (state) {
    case event::v1::Status::STATE_ONLINE: return "online";
    case event::v1::Status::STATE_OFFLINE: return "offline";
    case event::v1::Status::STATE_DEGRADED: return "degraded";
    case event::v1::Status::STATE_OUT_OF_SERVICE: return "out_of_service";
    default: return "";
  }
}

}  // namespace

void NoteState(DeviceFigures& figures, const event::v1::DeviceEvent& event) {
  // A last will cannot count: offline without a number came from the broker.
  const bool counted = event.has_sequence() || !event.message_id().empty();
  if (event.has_status()) {
    figures.state = StateName(event.status().state());
    figures.offline_by_will = !counted && event.status().state() == event::v1::Status::STATE_OFFLINE;
  } else if (figures.offline_by_will) {
    figures.state = "online";   // it speaks again and has only not said so
    figures.offline_by_will = false;
  }
}

void NoteNumber(Device& device, uint64_t boot, uint64_t seq) {
  DeviceFigures& figures = device.figures;
  figures.last_seq = figures.boot == boot ? std::max(figures.last_seq, seq) : seq;
  figures.boot = boot;
}

void NoteChange(const std::shared_ptr<Device>& device) {
  if (device->change_listed) return;
  const std::lock_guard lock(device->chores->mutex);
  if (device->chores->closed) return;
  device->chores->changed.push_back(device);
  device->change_listed = true;
}

}  // namespace sluice::intake
