#include "devices/transport/framing.h"

#include "base/strings.h"
#include "gtest/gtest.h"

namespace sluice::transport {
namespace {

std::string Told(const std::vector<Frame>& frames) {
  std::string all;
  for (const Frame& frame : frames) {
    all += frame.status.ok() ? StrCat("[", frame.bytes, "]") : StrCat("<", frame.bytes, ": ", MessageOf(frame.status), ">");
  }
  return all;
}

std::string Feed(Framer& framer, std::string_view bytes, int64_t now_ms = 0) {
  std::vector<Frame> frames;
  framer.Feed(bytes, now_ms, &frames);
  return Told(frames);
}

TEST(FramerTest, LinesEndWithCrLfOrEither) {
  Framer framer({});
  EXPECT_EQ(Feed(framer, "one\r\ntwo\nthree\r\r\n\n"), "[one][two][three]");
}

TEST(FramerTest, AFrameMayComeByteByByte) {
  Framer framer({});
  std::string told;
  for (char byte : std::string("12.345 kg\r\n")) told += Feed(framer, std::string(1, byte));
  EXPECT_EQ(told, "[12.345 kg]");
}

TEST(FramerTest, StartAndStopBytesLeaveOutWhatLiesBetween) {
  Framer framer({.start = "\x02", .end = "\x03"});
  EXPECT_EQ(Feed(framer, "\x02" "0100\x03\r\n\x02" "0200\x03"), "[0100][0200]");
  EXPECT_EQ(Feed(framer, "junk\x02" "0300\x03"), "<junk: frame: bytes outside of any frame>[0300]");
}

TEST(FramerTest, AFrameOfAFixedLengthMayHoldAnything) {
  Framer framer({.start = "\x02", .end = "", .length = 4, .idle_ms = 100});
  EXPECT_EQ(Feed(framer, "\x02" "ab\r\x02\x02" "cd\r\n"), "[ab\r\x02][cd\r\n]");
  // Opened within a frame whose last byte looks like a start: one bad frame, then in step again.
  EXPECT_EQ(Feed(framer, "y\r\x02\x02" "ab\rz\x02" "cd\rz"), "<y: frame: bytes outside of any frame>[\x02" "ab\r]"
                                                              "<z: frame: bytes outside of any frame>[cd\rz]");
  EXPECT_EQ(Feed(framer, "\x02" "ab", 1000), "");
  EXPECT_EQ(Feed(framer, "\x02" "abcd", 1100), "<ab: frame: cut short: no end within 100 ms>[abcd]");
}

TEST(FramerTest, ANewStartEndsAHalfFrame) {
  Framer framer({.start = "\x02", .end = "\x03"});
  EXPECT_EQ(Feed(framer, "\x02" "01\x02" "0200\x03"), "<01: frame: cut short: the next frame began before its end>[0200]");
}

TEST(FramerTest, WhatIsTooLongIsToldOnceAndSkippedToTheNextEnd) {
  Framer framer({.max_length = 8});
  EXPECT_EQ(Feed(framer, std::string(100, 'x') + "\ngood\n"), "<xxxxxxxx: frame: longer than 8 bytes>[good]");
  Framer started({.start = "\x02", .end = "\x03", .max_length = 4});
  EXPECT_EQ(Feed(started, "\x02" "123456\x02" "ok\x03"), "<1234: frame: longer than 4 bytes>[ok]");
}

TEST(FramerTest, HalfALineIsToldAfterSilence) {
  Framer framer({.idle_ms = 100});
  EXPECT_EQ(Feed(framer, "half", 1000), "");
  EXPECT_EQ(Feed(framer, "", 1099), "");
  EXPECT_EQ(Feed(framer, "next\n", 1100), "<half: frame: cut short: no end within 100 ms>[next]");
}

TEST(FramerTest, SilenceMayBeTheEnd) {
  Framer framer({.end = "", .idle_ms = 50, .idle_ends = true});
  EXPECT_EQ(Feed(framer, "4500C5D1E9B8", 1000), "");
  std::vector<Frame> frames;
  framer.Tick(1049, &frames);
  EXPECT_EQ(Told(frames), "");
  framer.Tick(1050, &frames);
  EXPECT_EQ(Told(frames), "[4500C5D1E9B8]");
}

TEST(FramerTest, ClosingTellsTheHalfLine) {
  Framer framer({});
  Feed(framer, "half");
  std::vector<Frame> frames;
  framer.Close(&frames);
  EXPECT_EQ(Told(frames), "<half: frame: cut short: the port was closed>");
  EXPECT_EQ(Feed(framer, "whole\n"), "[whole]");
}

TEST(FramerTest, GarbageIsBounded) {
  Framer framer({.start = "\x02", .end = "\x03", .max_length = 16});
  for (int i = 0; i < 10000; ++i) Feed(framer, "garbage garbage ");
  EXPECT_EQ(Feed(framer, "\x02" "ok\x03"), "<garbage garbage : frame: bytes outside of any frame>[ok]");
}

}  // namespace
}  // namespace sluice::transport
