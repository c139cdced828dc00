#include "gateway/ctl/message_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sluice/control/v1/control.pb.h"

namespace sluice::ctl {
namespace {

TEST(MessageJsonTest, WritesEveryFieldWithNumbersAsNumbers) {
  control::v1::RejectedMessage message;
  message.set_at_ms(1'700'000'000'123);
  message.set_head("\x01\xff");
  message.set_size(18'446'744'073'709'551'615u);
  EXPECT_EQ(Dump(ToJson(message)),
            R"({"at_ms":1700000000123,"source":"","where":"","device_id":"","reason":"","head_base64":"Af8=",)"
            R"("size":18446744073709551615,"dropped":0})");
}

TEST(MessageJsonTest, NestsMessagesAndLists) {
  control::v1::SyncNowResponse response;
  EXPECT_EQ(Dump(ToJson(response)), R"({"queues":[]})");
  control::v1::TraceResponse trace;
  trace.add_steps()->set_step("sent");
  EXPECT_EQ(ToJson(trace)["steps"][0]["step"], "sent");
}

TEST(MessageJsonTest, KeepsTextThatIsNoJson) {
  EXPECT_EQ(Dump(Embedded(R"({"b":1,"a":[2]})")), R"({"b":1,"a":[2]})");
  EXPECT_EQ(Dump(Embedded("{half")), R"("{half")");
  EXPECT_TRUE(Embedded(std::string(100'000, '[')).is_string()) << "depth would break the writer";
  EXPECT_EQ(Dump(Embedded("\xff")), R"("\ufffd")");
}

TEST(MessageJsonTest, IsAsciiForProgramsAndReadableForPeople) {
  const nlohmann::ordered_json text = "ü\u009b2J\u2028\u202e";
  EXPECT_EQ(Dump(text), R"("\u00fc\u009b2J\u2028\u202e")") << "no terminal command, no line end";
  EXPECT_EQ(DumpReadable(text), "\"ü\u009b2J\u2028\u202e\"");
}

}  // namespace
}  // namespace sluice::ctl
