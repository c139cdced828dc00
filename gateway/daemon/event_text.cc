#include "gateway/daemon/event_text.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

namespace sluice::daemon {
namespace {

const google::protobuf::FieldDescriptor* BodyField(const event::v1::DeviceEvent& event) {
  const auto* oneof = event::v1::DeviceEvent::descriptor()->FindOneofByName("body");
  return event.GetReflection()->GetOneofFieldDescriptor(event, oneof);
}

}  // namespace

std::string KindName(const event::v1::DeviceEvent& event) {
  const auto* field = BodyField(event);
  if (field == nullptr) return "unknown";
  std::string name = field->name();
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string BodyJson(const event::v1::DeviceEvent& event) {
  const auto* field = BodyField(event);
  if (field == nullptr) return "{}";
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto& body = event.GetReflection()->GetMessage(event, field);
  if (!google::protobuf::util::MessageToJsonString(body, &json, options).ok()) return "{}";
  return json;
}

}  // namespace sluice::daemon
