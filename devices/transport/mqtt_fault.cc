#include "devices/transport/mqtt_fault.h"

#include "base/strings.h"

namespace sluice::transport {

std::string MqttFault::Text() const {
  std::string text = StrCat(std::string_view(packet), ", byte ", offset);
  if (*field != '\0') text += StrCat(", ", std::string_view(field));
  text += StrCat(": ", std::string_view(what));
  if (*statement != '\0') text += StrCat(" [", std::string_view(statement), "]");
  return text;
}

}  // namespace sluice::transport
