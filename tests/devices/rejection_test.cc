#include "devices/rejection.h"

#include <string>

#include "base/strings.h"
#include "devices/lines/decode.h"
#include "devices/native/decode.h"
#include "gtest/gtest.h"

namespace sluice::devices {
namespace {

Rejection Refused(std::string_view topic, std::string_view payload) {
  JsonEventFacts facts;
  const auto decoded = native::Decode(topic, payload, &facts);
  EXPECT_FALSE(decoded.ok()) << payload;
  return MakeRejection("mqtt:main", std::string(topic), decoded.status(), payload, facts);
}

Rejection RefusedLine(const lines::Profile& profile, std::string_view line) {
  lines::LineDecoder decoder(profile, "term-1");
  JsonEventFacts facts;
  const auto decoded = decoder.Decode(line, 0, &facts);
  EXPECT_FALSE(decoded.ok()) << line;
  return MakeRejection("serial:term-1", "/dev/ttyS0", decoded.status(), line, facts);
}

TEST(RejectionTest, KeepsTheHeadOfWhatIsNotAboutPeople) {
  EXPECT_EQ(Refused("sluice/v1/vm-1/sale", "{not json").head, "{not json");
  EXPECT_EQ(Refused("sluice/v1/vm-1/sale", R"({"product":"cola","qty":1})").head, R"({"product":"cola","qty":1})");
  const Rejection large = Refused("sluice/v1/vm-1/telemetry", std::string(1 << 20, 'x'));
  EXPECT_EQ(large.head.size(), kRejectionHeadBytes);
  EXPECT_EQ(large.size, 1U << 20);
}

TEST(RejectionTest, KeepsNothingThatMayTellOfAPerson) {
  const struct {
    std::string_view topic, payload;
  } cases[] = {
      {"sluice/v1/term-1/punch", R"({"boot":1,"seq":9,"user":"987654","template":"QUJD987654"})"},
      {"sluice/v1/term-1/break", R"({"boot":1,"seq":9,"user":"987654","phase":"lunch"})"},
      {"sluice/v1/term-1/punch", "987654"},
      {"sluice/v1/term-1/attendance", R"({"boot":1,"seq":9,"user":"987654"})"},
      {"sluice/v1/term-1/fingerprint", "987654"},
      {"sluice/v1/term-1/punch/in", R"({"user":"987654"})"},
      {"987654", "987654"},
      {"sluice/v1/term-1/status", R"({"state":"online","user":"987654"})"},
      {"sluice/v1/term-1/sale", R"({"product":"cola","Template":"987654"})"},
      {"sluice/v1/term-1/alarm", R"({"code":1,"fingerTemplate":"987654")"},
  };
  for (const auto& one : cases) {
    const Rejection rejection = Refused(one.topic, one.payload);
    EXPECT_EQ(rejection.head, kMayNameAPerson) << one.topic << " " << one.payload;
    EXPECT_EQ(rejection.size, one.payload.size());
    EXPECT_EQ(rejection.where, one.topic);
    EXPECT_NE(rejection.reason, "");
    EXPECT_EQ(rejection.reason.find("987654"), std::string::npos) << rejection.reason;
  }
  EXPECT_EQ(Refused("sluice/v1/term-1/punch", R"({"boot":1,"seq":9,"user":"1","template":"QUJD"})").seq, 9U);
}

TEST(RejectionTest, OfALineTheProfileOrTheBodyTellsTheKind) {
  lines::Profile events;
  events.format = lines::LineFormat::kEvents;
  EXPECT_EQ(RefusedLine(events, R"({"kind":"sale","product":7})").head, R"({"kind":"sale","product":7})");
  EXPECT_EQ(RefusedLine(events, R"({"kind":"punch","user":7})").head, kMayNameAPerson);
  EXPECT_EQ(RefusedLine(events, R"({"kind":"sale","kind":"punch","x":"987654"})").head, kMayNameAPerson);
  EXPECT_EQ(RefusedLine(events, R"(er":"987654"})").head, kMayNameAPerson);

  lines::Profile card;
  card.format = lines::LineFormat::kJson;
  card.kind = EventKind::kPunch;
  EXPECT_EQ(RefusedLine(card, "987654").head, kMayNameAPerson);
  card.kind = EventKind::kTelemetry;
  EXPECT_EQ(RefusedLine(card, "5 kg").head, "5 kg");
}

}  // namespace
}  // namespace sluice::devices
