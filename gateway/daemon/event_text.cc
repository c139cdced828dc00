#include "gateway/daemon/event_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "base/item.h"

namespace sluice::daemon {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::ordered_json;

const FieldDescriptor* BodyField(const event::v1::DeviceEvent& event) {
  const auto* oneof = event::v1::DeviceEvent::descriptor()->FindOneofByName("body");
  return event.GetReflection()->GetOneofFieldDescriptor(event, oneof);
}

// STATE_OUT_OF_SERVICE of State -> out_of_service, VERIFIED_BY_PIN of VerifiedBy -> pin: without what all values share.
std::string EnumText(const EnumValueDescriptor& value) {
  std::string_view name = value.name();
  std::string_view common = value.type()->value(0)->name();
  common.remove_suffix(std::string_view("UNSPECIFIED").size());
  if (name.starts_with(common)) name.remove_prefix(common.size());
  return absl::AsciiStrToLower(std::string(name));
}

Json MessageJson(const Message& message);

// One value: of a singular field (index < 0) or of a repeated one.
Json ValueJson(const Message& message, const FieldDescriptor& field, int index) {
  const auto& reflect = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? reflect.GetInt64(message, &field) : reflect.GetRepeatedInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? reflect.GetUInt64(message, &field) : reflect.GetRepeatedUInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? reflect.GetDouble(message, &field) : reflect.GetRepeatedDouble(message, &field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? reflect.GetBool(message, &field) : reflect.GetRepeatedBool(message, &field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(*(one ? reflect.GetEnum(message, &field) : reflect.GetRepeatedEnum(message, &field, index)));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = one ? reflect.GetString(message, &field) : reflect.GetRepeatedString(message, &field, index);
      if (field.type() == FieldDescriptor::TYPE_STRING) return text;
      const auto id = Id128::FromBytes(text);
      return id ? id->ToUuid() : std::to_string(text.size()) + " bytes";
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageJson(one ? reflect.GetMessage(message, &field) : reflect.GetRepeatedMessage(message, &field, index));
    default: return nullptr;
  }
}

Json MessageJson(const Message& message) {
  Json out = Json::object();
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    Json& member = out[field->name()];
    if (!field->is_repeated()) {
      member = ValueJson(message, *field, -1);
      continue;
    }
    const int size = message.GetReflection()->FieldSize(message, field);
    member = field->is_map() ? Json::object() : Json::array();
    for (int i = 0; i < size; ++i) {
      Json value = ValueJson(message, *field, i);
      if (field->is_map()) {
        member[value.value("key", "")] = value.value("value", "");
      } else {
        member.push_back(std::move(value));
      }
    }
  }
  return out;
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
  return MessageJson(event.GetReflection()->GetMessage(event, field))
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sluice::daemon
