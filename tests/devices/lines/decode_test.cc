#include "devices/lines/decode.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace sluice::lines {
namespace {

using ::testing::HasSubstr;

Profile Shipped(const std::string& name) {
  const char* root = std::getenv("SLUICE_SOURCE");
  const auto profile = LoadProfile(StrCat(root ? root : ".", "/devices/lines/profiles/", name, ".toml"));
  EXPECT_TRUE(profile.ok()) << profile.status();
  return *profile;
}

// "weight=12.345kg display=…" of a telemetry event, "-" for no event, "!<reason>" for an error.
std::string Told(LineDecoder& decoder, std::string_view line, int64_t now_ms = 0) {
  const auto event = decoder.Decode(line, now_ms);
  if (!event.ok()) return StrCat("!", MessageOf(event.status()));
  if (!event->has_value()) return "-";
  const event::v1::DeviceEvent& body = (*event)->event;
  if (body.has_punch()) return StrCat("punch ", body.punch().user(), " ", static_cast<int>(body.punch().verified_by()));
  std::string all = body.device_id();
  for (const auto& each : body.telemetry().measurements()) {
    std::ostringstream number;
    number << (each.has_flag() ? each.flag() : each.number());
    all += StrCat(" ", each.name(), "=", each.has_text() ? each.text() : number.str(), each.unit());
  }
  return all;
}

std::string Bytes(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size();) {
    if (hex[i] == ' ') {
      ++i;
      continue;
    }
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    i += 2;
  }
  return bytes;
}

// What the decoder tells of these bytes, framed as its profile says, frame by frame.
std::string ToldOf(LineDecoder& decoder, transport::Framer& framer, const std::string& bytes) {
  std::vector<transport::Frame> frames;
  framer.Feed(bytes, 0, &frames);
  std::string all;
  for (const transport::Frame& frame : frames) {
    all += StrCat(all.empty() ? "" : "; ", frame.status.ok() ? Told(decoder, frame.bytes) : StrCat("!", MessageOf(frame.status)));
  }
  return all;
}

TEST(ScaleCasTest, ReadsTheLongAndTheShortForm) {
  LineDecoder decoder(Shipped("scale-cas"), "scale-1");
  EXPECT_EQ(Told(decoder, "ST,GS,1A,  12.345 kg"), "scale-1 display=12.345 kg net=GS weight=12.345kg");
  EXPECT_EQ(Told(decoder, "ST,GS,+  1.245kg"), "scale-1 display=+  1.245kg net=GS weight=1.245kg");
  EXPECT_EQ(Told(decoder, "ST,NT,- 0.005kg"), "scale-1 display=- 0.005kg net=NT weight=-0.005kg");
  EXPECT_EQ(Told(decoder, "ST,GS,2B,     500  g"), "scale-1 display=500  g net=GS weight=0.5kg");
}

TEST(ScaleCasTest, TellsAWeightOnlyWhenStableAndChanged) {
  LineDecoder decoder(Shipped("scale-cas"), "scale-1");
  EXPECT_EQ(Told(decoder, "US,GS,1A,   4.100 kg"), "-");
  EXPECT_NE(Told(decoder, "ST,GS,1A,  12.345 kg"), "-");
  EXPECT_EQ(Told(decoder, "ST,GS,1A,  12.345 kg"), "-");
  EXPECT_EQ(Told(decoder, "OL,GS,1A,  99.999 kg"), "-");
  EXPECT_EQ(Told(decoder, "ST,GS,1A,  12.345 kg"), "-");
  EXPECT_NE(Told(decoder, "ST,GS,1A,  12.350 kg"), "-");
  decoder.Forget();
  EXPECT_NE(Told(decoder, "ST,GS,1A,  12.350 kg"), "-");
}

TEST(ScaleCasTest, RefusesHalfLinesAndGarbage) {
  LineDecoder decoder(Shipped("scale-cas"), "scale-1");
  for (const char* line : {"2.345 kg", "ST,GS,1A,  12.345", "ST,GS,1A,  12..5 kg", "ST,GS,1A, kg", "ST,GS,1A,  12.345 stone", "\xff\xfe", "ST"}) {
    EXPECT_THAT(Told(decoder, line), HasSubstr("!line: does not match the pattern of profile scale-cas")) << line;
  }
}

TEST(ScaleSicsTest, ReadsStableWeights) {
  LineDecoder decoder(Shipped("scale-sics"), "scale-2");
  EXPECT_EQ(Told(decoder, "S S      1.245 kg"), "scale-2 display=1.245 kg weight=1.245kg");
  EXPECT_EQ(Told(decoder, "S S      1.245 kg"), "-");
  EXPECT_EQ(Told(decoder, "S D      1.300 kg"), "-");
  EXPECT_EQ(Told(decoder, "S I"), "-");
  EXPECT_EQ(Told(decoder, "S +"), "-");
  EXPECT_EQ(Told(decoder, "ES"), "-");
  EXPECT_EQ(Told(decoder, "S S     -250.0 g"), "scale-2 display=-250.0 g weight=-0.25kg");
  EXPECT_THAT(Told(decoder, "S X 1 kg"), HasSubstr("does not match"));
}

class ScaleToledoTest : public ::testing::Test {
 protected:
  // Status bytes, weight and tare; with the checksum of the manual: what makes the sum of the low seven bits zero.
  static std::string Line(int a, int b, int c, const std::string& weight, const std::string& tare = "000000") {
    std::string line = {'\x02', static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)};
    line += weight + tare + "\r";
    int sum = 0;
    for (const char byte : line) sum += byte & 0x7F;
    return line + static_cast<char>(-sum & 0x7F);
  }
  std::string Told(const std::string& bytes) { return ToldOf(decoder_, framer_, bytes); }

  LineDecoder decoder_{Shipped("scale-toledo"), "scale-3"};
  transport::Framer framer_{decoder_.profile().framing};
};

TEST_F(ScaleToledoTest, ReadsTheComputedExample) {
  const std::string line = Bytes("02 2A 30 20 30 30 31 32 35 30 30 30 30 30 30 30 0D 2F");
  EXPECT_EQ(line, Line(0x2A, 0x30, 0x20, "001250"));
  EXPECT_EQ(Told(line), "scale-3 net=0 tare=0kg weight=1250kg");
  EXPECT_EQ(Told(line), "-") << "nothing new";
}

TEST_F(ScaleToledoTest, TheStatusBytesSayPlaceSignNetAndUnit) {
  EXPECT_EQ(Told(Line(0x2D, 0x30, 0x20, "  1245", "      ")), "scale-3 net=0 weight=1.245kg");
  EXPECT_EQ(Told(Line(0x2D, 0x33, 0x20, " 00005", "000250")), "scale-3 net=1 tare=0.25kg weight=-0.005kg");
  EXPECT_EQ(Told(Line(0x2B, 0x30, 0x20, "000003")), "scale-3 net=0 tare=0kg weight=0.3kg");
  EXPECT_EQ(Told(Line(0x2C, 0x20, 0x20, "001000")), "scale-3 net=0 tare=0kg weight=4.53592kg") << "10 lb";
  EXPECT_EQ(Told(Line(0x2A, 0x30, 0x21, "000500")), "scale-3 net=0 tare=0kg weight=0.5kg") << "500 g";
  EXPECT_EQ(Told(Line(0x2A, 0x32, 0x20, "000000")), "scale-3 net=0 tare=0kg weight=0kg") << "no negative zero";
}

TEST_F(ScaleToledoTest, TellsNothingInMotionOutOfRangeOrBeforeZero) {
  for (const int wrong : {0x08, 0x04, 0x40}) EXPECT_EQ(Told(Line(0x2A, 0x30 | wrong, 0x20, "001250")), "-") << wrong;
  EXPECT_NE(Told(Line(0x2A, 0x30, 0x20, "001250")), "-");
}

TEST_F(ScaleToledoTest, AChecksumMayLookLikeAStart) {
  const std::string line = Line(0x2A, 0x30, 0x20, "999998");
  ASSERT_EQ(line.back(), '\x02');
  EXPECT_EQ(Told(line), "scale-3 net=0 tare=0kg weight=999998kg");
  EXPECT_EQ(Told(Line(0x2A, 0x30, 0x20, "000007")), "scale-3 net=0 tare=0kg weight=7kg");
}

TEST_F(ScaleToledoTest, ComesInStepAgain) {
  const std::string line = Line(0x2A, 0x30, 0x20, "000007");
  EXPECT_THAT(Told(line.substr(9) + line), HasSubstr("; scale-3 net=0 tare=0kg weight=7kg"));
  // A byte that was lost costs two lines.
  std::string told = Told(line.substr(0, 5) + line.substr(6) + line + line + Line(0x2A, 0x30, 0x20, "000008"));
  EXPECT_THAT(told, HasSubstr("!"));
  EXPECT_THAT(told, HasSubstr("weight=8kg"));
}

TEST_F(ScaleToledoTest, RefusesAWrongSumAndWhatItCannotKnow) {
  std::string line = Line(0x2A, 0x30, 0x20, "001250");
  line[6] ^= 1;
  EXPECT_EQ(Told(line), "!checksum: does not match");
  EXPECT_EQ(Told(Line(0x31, 0x20, 0x20, "   200")),
            "!line: place is 1, which [factors.place] of profile scale-toledo does not name");
  EXPECT_THAT(Told(Line(0x2A, 0x30, 0x27, "000001")), HasSubstr("!line: the unit is not in [units]"));
  EXPECT_THAT(Told(Line(0x2A, 0x30, 0x20, "      ")), HasSubstr("!line: has no weight"));
  EXPECT_THAT(Told(Line(0x2A, 0x30, 0x20, "12.345")), HasSubstr("!line: does not match the pattern"));
}

TEST(ScaleNciTest, ReadsTheAnswerToW) {
  LineDecoder decoder(Shipped("scale-nci"), "till-1");
  transport::Framer framer(decoder.profile().framing);
  const auto told = [&](const std::string& bytes) { return ToldOf(decoder, framer, bytes); };
  EXPECT_EQ(told(Bytes("0A 20 20 31 32 2E 35 30 6C 62 0D 0A 30 30 0D 03")), "till-1 display=12.50lb weight=5.6699kg");
  EXPECT_EQ(told("\n  12.55lb\r\n10\r\x03"), "-") << "in motion";
  EXPECT_EQ(told("\n  12.55lb\r\n02\r\x03"), "-") << "over capacity";
  EXPECT_EQ(told("\n?\r\x03"), "-");
  EXPECT_EQ(told("\n01\r\x03"), "-") << "under capacity: no weight";
  EXPECT_EQ(told("\n - 0.05kg\r\n00p\r\x03"), "till-1 display=- 0.05kg weight=-0.05kg");
  EXPECT_THAT(told("12.50lb\r\n00\r\x03"), HasSubstr("!line: does not match the pattern"));
}

TEST(RfidTest, ChecksTheSumAndHearsATouchOnce) {
  LineDecoder decoder(Shipped("rfid-rdm6300"), "door-1");
  // 0B ^ 12 ^ 34 ^ 56 ^ 78 = 03
  EXPECT_EQ(Told(decoder, "0B1234567803", 1000), "punch 0B12345678 3");
  EXPECT_EQ(Told(decoder, "0B1234567803", 1060), "-");
  EXPECT_EQ(Told(decoder, "0B1234567803", 2050), "-");         // still there: each repetition counts from anew
  EXPECT_EQ(Told(decoder, "0B1234567803", 3051), "punch 0B12345678 3");
  EXPECT_EQ(Told(decoder, "0B1234567902", 3100), "punch 0B12345679 3");   // another card at once
  EXPECT_THAT(Told(decoder, "0B1234567804", 9000), HasSubstr("!checksum: does not match"));
  EXPECT_THAT(Told(decoder, "0B12345678", 9000), HasSubstr("does not match the pattern"));
}

TEST(JsonLinesTest, ReadsOurOwnEvents) {
  LineDecoder decoder(Shipped("json-lines"), "");
  devices::JsonEventFacts facts;
  const auto event = decoder.Decode(R"({"device":"vend-7","kind":"refill","boot":3,"seq":41,"product":"p","quantity":2})", 0, &facts);
  ASSERT_TRUE(event.ok()) << event.status();
  EXPECT_EQ((*event)->event.device_id(), "vend-7");
  EXPECT_EQ((*event)->event.refill().quantity(), 2);
  EXPECT_EQ((*event)->event.sequence().seq(), 41U);
  // The kind may come last, and the same line is the same event again, not nothing.
  EXPECT_TRUE(decoder.Decode(R"({"state":"online","device":"vend-7","kind":"status"})", 0)->has_value());
  EXPECT_TRUE(decoder.Decode(R"({"state":"online","device":"vend-7","kind":"status"})", 0)->has_value());
}

TEST(JsonLinesTest, NamesWhatIsMissingOrWrong) {
  LineDecoder decoder(Shipped("json-lines"), "");
  EXPECT_THAT(Told(decoder, R"({"kind":"status","state":"online"})"), HasSubstr("device: missing"));
  EXPECT_THAT(Told(decoder, R"({"device":"a","state":"online"})"), HasSubstr("kind: missing"));
  EXPECT_THAT(Told(decoder, R"({"device":"a","kind":"dance"})"), HasSubstr("kind: 'dance' is unknown"));
  EXPECT_THAT(Told(decoder, R"({"device":"../a","kind":"status","state":"online"})"), HasSubstr("device: must be"));
  EXPECT_THAT(Told(decoder, R"({"device":1,"kind":"status","state":"online"})"), HasSubstr("device: must be text"));
  EXPECT_THAT(Told(decoder, R"({"device":"a","device":"b","kind":"status","state":"online"})"), HasSubstr("device: must be given only once"));
  LineDecoder named(Shipped("json-lines"), "till-1");
  EXPECT_EQ(Told(named, R"({"kind":"status","state":"online"})"), "till-1");
  EXPECT_THAT(Told(named, R"({"device":"other","kind":"status","state":"online"})"), HasSubstr("device: 'other' is not the device of this line"));
  EXPECT_EQ(Told(named, R"({"device":"till-1","kind":"status","state":"online"})"), "till-1");
}

TEST(JsonLinesTest, AGarbledLineNamesNoNumber) {
  LineDecoder decoder(Shipped("json-lines"), "");
  devices::JsonEventFacts facts;
  EXPECT_FALSE(decoder.Decode(R"({"device":"a","kind":"refill","boot":3,"seq":41,"prod)", 0, &facts).ok());
  EXPECT_FALSE(facts.numbering.has_sequence);
  EXPECT_FALSE(decoder.Decode(R"({"device":"a","kind":"refill","boot":3,"seq":41,"product":"p","quantity":0})", 0, &facts).ok());
  EXPECT_TRUE(facts.numbering.has_sequence);
  EXPECT_EQ(facts.device, "a");
}

TEST(ForeignJsonTest, MembersStandForGroups) {
  const auto profile = ParseProfile(R"(
name = "freezer"
[line]
format = "json"
kind = "telemetry"
[fields]
values.temperature = { from = "t", unit = "Cel", factor = 0.1 }
values.door_open = { from = "door", type = "flag" }
values.note = { from = "note", type = "text", optional = true }
time = { from = "ts", factor = 1 }
[emit]
only_on_change = true
min_change = 0.5
)", "freezer.toml");
  ASSERT_TRUE(profile.ok()) << profile.status();
  LineDecoder decoder(*profile, "freezer-1");
  EXPECT_EQ(Told(decoder, R"({"t":-185,"door":false,"ts":1700000000000})"), "freezer-1 door_open=0 temperature=-18.5Cel");
  EXPECT_EQ(Told(decoder, R"({"t":-183,"door":false,"ts":1700000001000})"), "-");
  EXPECT_NE(Told(decoder, R"({"t":-180,"door":false,"ts":1700000002000})"), "-");
  EXPECT_NE(Told(decoder, R"({"t":-180,"door":true,"ts":1700000003000})"), "-");
  EXPECT_THAT(Told(decoder, R"({"t":"warm","door":true,"ts":1})"), HasSubstr("!line: t is not a number"));
  EXPECT_THAT(Told(decoder, R"({"t":1,"door":"ajar","ts":1})"), HasSubstr("!line: door is neither true nor false"));
  EXPECT_THAT(Told(decoder, R"({"t":1,"ts":1})"), HasSubstr("!line: has no door"));
  EXPECT_THAT(Told(decoder, R"([1])"), HasSubstr("!line: must be one JSON object"));
}

// Captured telegrams, where they are at hand; they are not part of the project.
TEST(SamplesTest, CapturedTelegramsAreRead) {
  const char* folder = std::getenv("SLUICE_DEVICE_SAMPLES");
  if (folder == nullptr) GTEST_SKIP() << "SLUICE_DEVICE_SAMPLES does not name a folder of device samples";
  std::ifstream file(StrCat(folder, "/serial-misc/scales_rfid_escpos_cctalk.json"));
  if (!file) GTEST_SKIP() << folder << " has no serial-misc";
  const nlohmann::json samples = nlohmann::json::parse(file);
  int read = 0;
  for (const auto& sample : samples["scales"]) {
    // The others have no profile.
    for (const auto& [begins, profile, expected] : {std::tuple("CAS", "scale-cas", "weight=12.345kg"),
                                                    {"toledo-8142 with checksum", "scale-toledo", "weight=1250kg"},
                                                    {"NCI", "scale-nci", "weight=5.6699kg"}}) {
      if (!sample["fmt"].get<std::string>().starts_with(begins)) continue;
      LineDecoder decoder(Shipped(profile), "scale-1");
      transport::Framer framer(decoder.profile().framing);
      EXPECT_THAT(ToldOf(decoder, framer, Bytes(sample["hex"])), HasSubstr(expected));
      ++read;
    }
  }
  for (const auto& sample : samples["rfid"]) {
    std::string card;
    LineDecoder decoder(Shipped("rfid-rdm6300"), "door-1");
    if (sample.contains("hex") && sample["expect"].contains("card")) {
      transport::Framer framer(decoder.profile().framing);
      std::vector<transport::Frame> frames;
      framer.Feed(Bytes(sample["hex"]), 0, &frames);
      ASSERT_EQ(frames.size(), 1U);
      card = frames[0].bytes;
    } else if (sample.contains("ascii")) {
      card = sample["ascii"].get<std::string>().substr(0, 12);
    } else if (sample.contains("card")) {
      card = sample["card"].get<std::string>() + sample["checksum"].get<std::string>();
    } else {
      continue;   // the binary variant has no profile
    }
    EXPECT_EQ(Told(decoder, card), StrCat("punch ", card.substr(0, 10), " 3"));
    ++read;
  }
  EXPECT_GE(read, 7);
}

}  // namespace
}  // namespace sluice::lines
