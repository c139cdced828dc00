#include "gateway/intake/event_id.h"

#include <string>

#include "base/uuid.h"

namespace sluice::intake {
namespace {

void PutBigEndian(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

std::string NameOf(std::string_view device) {
  constexpr std::string_view kDomain("sluice event v1\0", 16);
  std::string name;
  name.reserve(kDomain.size() + 8 + device.size() + 1 + 128);
  name.append(kDomain);
  PutBigEndian(name, device.size());
  name.append(device);
  return name;
}

}  // namespace

EventId EventIdOf(std::string_view device, uint64_t boot, uint64_t seq) {
  std::string name = NameOf(device);
  name.push_back('s');
  PutBigEndian(name, boot);
  PutBigEndian(name, seq);
  return Uuid8Of(name);
}

EventId EventIdOf(std::string_view device, std::string_view message_id) {
  std::string name = NameOf(device);
  name.push_back('m');
  name.append(message_id);
  return Uuid8Of(name);
}

}  // namespace sluice::intake
