// Bytes that were written once must be read for ever (proto/COMPATIBILITY.md). The vectors are frozen: a change of the
// contract that needs one of them changed is not compatible.
#include <gmock/gmock.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "sluice/attendance/v1/attendance.pb.h"
#include "sluice/bus/v1/bus.pb.h"
#include "sluice/control/v1/control.pb.h"
#include "sluice/event/v1/event.pb.h"
#include "sluice/ingest/v1/dead_letters.pb.h"
#include "sluice/inventory/v1/inventory.pb.h"
#include "sluice/shop/v1/shop.pb.h"
#include "sluice/sync/v1/sync.pb.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
namespace pb = google::protobuf;

// <name>.vector: the message's full name, its bytes in hexadecimal over any number of lines, "---", what they say as text.
struct Vector {
  std::string name, type, bytes, text;
};

std::vector<Vector> ReadVectors() {
  const char* source = std::getenv("SLUICE_SOURCE");
  std::vector<Vector> vectors;
  for (const auto& entry : fs::directory_iterator(fs::path(source == nullptr ? "." : source) / "tests/proto/vectors")) {
    std::ifstream file(entry.path(), std::ios::binary);
    Vector vector{entry.path().stem(), "", "", ""};
    std::getline(file, vector.type);
    std::string hex;
    for (std::string line; std::getline(file, line) && line != "---";) hex += line;
    vector.bytes = absl::HexStringToBytes(hex);
    EXPECT_EQ(vector.bytes.size() * 2, hex.size()) << vector.name;
    vector.text.assign(std::istreambuf_iterator<char>(file), {});
    vectors.push_back(std::move(vector));
  }
  std::sort(vectors.begin(), vectors.end(), [](const Vector& a, const Vector& b) { return a.name < b.name; });
  return vectors;
}

std::unique_ptr<pb::Message> NewMessage(const std::string& type) {
  const pb::Descriptor* descriptor = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  if (descriptor == nullptr) return nullptr;
  return std::unique_ptr<pb::Message>(pb::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
}

// What of the contract a message uses: names of fields, and of enum values as "field=VALUE_NAME"; unknown fields as "?".
void Note(const pb::Message& message, std::set<std::string>& used) {
  const pb::Reflection& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty()) used.insert("?");
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    used.insert(field->full_name());
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
        Note(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                  : reflection.GetMessage(message, field), used);
      } else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_ENUM && !field->is_repeated()) {
        used.insert(reflection.GetEnum(message, field)->full_name());
      }
    }
  }
}

void Expect(const pb::EnumDescriptor& type, const std::set<std::string>& used) {
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() == 0) continue;   // is not on the wire
    EXPECT_TRUE(used.contains(type.value(i)->full_name())) << type.value(i)->full_name() << " is in no vector";
  }
}

void Expect(const pb::Descriptor& type, const std::set<std::string>& used) {
  for (int i = 0; i < type.field_count(); ++i) {
    EXPECT_TRUE(used.contains(type.field(i)->full_name())) << type.field(i)->full_name() << " is in no vector";
  }
  for (int i = 0; i < type.nested_type_count(); ++i) Expect(*type.nested_type(i), used);
  for (int i = 0; i < type.enum_type_count(); ++i) Expect(*type.enum_type(i), used);
}

// What a call takes and gives, also where it has no field yet.
void Expect(const pb::ServiceDescriptor& service, const std::set<std::string>& used) {
  for (int i = 0; i < service.method_count(); ++i) {
    for (const pb::Descriptor* type : {service.method(i)->input_type(), service.method(i)->output_type()}) {
      EXPECT_TRUE(used.contains(type->full_name())) << type->full_name() << " of " << service.method(i)->full_name() << " has no vector";
    }
  }
}

TEST(CompatibilityTest, OldBytesSayTheSameAsEver) {
  const std::vector<Vector> vectors = ReadVectors();
  ASSERT_FALSE(vectors.empty());
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    const auto read = NewMessage(vector.type), expected = NewMessage(vector.type);
    ASSERT_NE(read, nullptr) << vector.type << " is gone";
    ASSERT_TRUE(pb::TextFormat::ParseFromString(vector.text, expected.get()));
    ASSERT_TRUE(read->ParseFromString(vector.bytes));
    std::string difference;
    pb::util::MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    EXPECT_TRUE(differencer.Compare(*expected, *read)) << difference;
    std::set<std::string> used;
    Note(*read, used);
    EXPECT_FALSE(used.contains("?")) << "a field that was written is not known any more";
  }
}

// Whoever adds a message, a field, a kind or an enum value adds a vector that has it.
TEST(CompatibilityTest, EveryMessageFieldAndValueOfTheContractsIsInAVector) {
  std::set<std::string> used;
  for (const Vector& vector : ReadVectors()) {
    const auto message = NewMessage(vector.type);
    ASSERT_NE(message, nullptr);
    ASSERT_TRUE(message->ParseFromString(vector.bytes));
    used.insert(vector.type);
    Note(*message, used);
  }
  for (const pb::FileDescriptor* file :
       {event::v1::DeviceEvent::descriptor()->file(), sync::v1::ClientFrame::descriptor()->file(),
        shop::v1::Device::descriptor()->file(), inventory::v1::StockLevel::descriptor()->file(),
        attendance::v1::Punch::descriptor()->file(), ingest::v1::DeadLetter::descriptor()->file(), bus::v1::TailRequest::descriptor()->file(),
        control::v1::GetStatusRequest::descriptor()->file()}) {
    for (int i = 0; i < file->message_type_count(); ++i) Expect(*file->message_type(i), used);
    for (int i = 0; i < file->enum_type_count(); ++i) Expect(*file->enum_type(i), used);
    for (int i = 0; i < file->service_count(); ++i) Expect(*file->service(i), used);
  }
}

// A gateway that is newer than the cloud: what is not known is carried along, not lost and not an error.
TEST(CompatibilityTest, WhatANewerSideAddsIsKept) {
  event::v1::DeviceEvent event;
  event.set_device_id("d");
  // Field 2000, a length-delimited "new".
  std::string bytes = event.SerializeAsString();
  bytes += std::string("\x82\x7d\x03new", 6);
  event::v1::DeviceEvent read;
  ASSERT_TRUE(read.ParseFromString(bytes));
  EXPECT_EQ(read.body_case(), event::v1::DeviceEvent::BODY_NOT_SET);
  EXPECT_EQ(read.SerializeAsString(), bytes);
}

TEST(CompatibilityTest, AnEnumValueOfANewerSideKeepsItsNumber) {
  event::v1::Alarm alarm;
  // Field 2 (severity) = 99.
  ASSERT_TRUE(alarm.ParseFromString(std::string("\x10\x63", 2)));
  EXPECT_EQ(static_cast<int>(alarm.severity()), 99);
  EXPECT_FALSE(event::v1::Alarm::Severity_IsValid(alarm.severity()));
}

}  // namespace
}  // namespace sluice
