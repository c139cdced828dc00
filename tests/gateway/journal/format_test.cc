// Bytes on disk are a promise to the next version: these must not change (FORMAT.md).
#include "gateway/journal/format.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "base/crc32c.h"
#include "base/strings.h"

namespace sluice::journal {
namespace {

std::string Hex(std::string_view bytes) { return absl::BytesToHexString(AsAbsl(bytes)); }

Id128 Filled(uint8_t from) {
  Id128 id;
  for (uint8_t& byte : id.bytes) byte = from++;
  return id;
}

RecordHeader Golden() {
  RecordHeader header;
  header.segment = 7;
  header.epoch = Filled(0x10);
  header.queue = 2;
  header.type = RecordType::kRecord;
  header.flags = kSealed;
  header.skipped = 0x0123;
  header.number = 0x0102030405060708;
  header.id = Filled(0xA0);
  header.accepted_ms = 1'700'000'000'000;
  return header;
}

TEST(FormatTest, ARecordIsThese72Bytes) {
  std::string out;
  EncodeRecord(Golden(), "abc", &out);
  EXPECT_EQ(Hex(out.substr(4)),
            "03000000"                          // length
            "0700000000000000"                  // segment
            "101112131415161718191a1b1c1d1e1f"  // epoch
            "02"
            "02"
            "01"
            "2301"                              // queue, type, flags, skipped
            "0807060504030201"                  // number
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"  // id
            "0068e5cf8b010000"                  // accepted_ms
            "616263");
  EXPECT_EQ(Hex(out.substr(0, 4)), "de8aaba0");
}

TEST(FormatTest, AHeaderComesBackAsItWas) {
  std::string out;
  EncodeRecord(Golden(), "abc", &out);
  ASSERT_EQ(out.size(), kHeaderBytes + 3);
  const RecordHeader back = DecodeHeader(out);
  const RecordHeader golden = Golden();
  EXPECT_EQ(back.length, 3u);
  EXPECT_EQ(back.segment, golden.segment);
  EXPECT_EQ(back.epoch, golden.epoch);
  EXPECT_EQ(back.queue, golden.queue);
  EXPECT_EQ(back.skipped, golden.skipped);
  EXPECT_EQ(back.number, golden.number);
  EXPECT_EQ(back.id, golden.id);
  EXPECT_EQ(back.accepted_ms, golden.accepted_ms);
  EXPECT_TRUE(CrcMatches(out));
}

TEST(FormatTest, AnyFlippedBitIsSeen) {
  std::string out;
  EncodeRecord(Golden(), "abc", &out);
  for (size_t bit = 0; bit < out.size() * 8; ++bit) {
    std::string bad = out;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(CrcMatches(bad)) << bit;
  }
}

SegmentHead GoldenHead() {
  SegmentHead head;
  head.segment = 9;
  head.epoch = {Filled(0x10), 4, "gw", "shop"};
  head.positions.push_back({Filled(0x10), Queue::kInventory, 12, 3});
  return head;
}

TEST(FormatTest, ASegmentHeadIsThisBlock) {
  const std::string block = EncodeSegmentHead(GoldenHead());
  ASSERT_EQ(block.size(), kBlockBytes);
  EXPECT_EQ(Hex(block.substr(kHeaderBytes, 65)),
            "534c554943454a0a"
            "01000000"          // magic, version
            "0400000000000000"  // ordinal
            "0200"
            "6777"
            "0400"
            "73686f70"  // gateway, shop
            "0100"      // one position
            "101112131415161718191a1b1c1d1e1f"
            "01"
            "0c00000000000000"
            "0300000000000000");
}

TEST(FormatTest, ASegmentHeadComesBack) {
  const auto head = DecodeSegmentHead(EncodeSegmentHead(GoldenHead()));
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->segment, 9u);
  EXPECT_EQ(head->epoch.ordinal, 4u);
  EXPECT_EQ(head->epoch.gateway, "gw");
  EXPECT_EQ(head->epoch.shop, "shop");
  EXPECT_EQ(head->positions, GoldenHead().positions);
}

TEST(FormatTest, MorePositionsThanABlockHoldsAreCut) {
  SegmentHead head = GoldenHead();
  for (int i = 0; i < 500; ++i) head.positions.push_back({Filled(0x20), Queue::kShopBulk, 2, 1});
  const auto back = DecodeSegmentHead(EncodeSegmentHead(head));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->positions.front(), head.positions.front());
  EXPECT_LT(back->positions.size(), head.positions.size());
}

TEST(FormatTest, AnotherVersionIsNotDamage) {
  std::string block = EncodeSegmentHead(GoldenHead());
  block[kHeaderBytes + 8] = 2;
  const auto size = kHeaderBytes + DecodeHeader(block).length;
  const uint32_t crc = Crc32c(std::string_view(block).substr(4, size - 4));
  for (int i = 0; i < 4; ++i) block[i] = static_cast<char>(crc >> (8 * i));
  EXPECT_TRUE(absl::IsUnimplemented(DecodeSegmentHead(block).status()));
}

TEST(FormatTest, GarbageIsNoHead) {
  EXPECT_TRUE(absl::IsNotFound(DecodeSegmentHead(std::string(kBlockBytes, '\0')).status()));
  EXPECT_TRUE(absl::IsNotFound(DecodeSegmentHead("short").status()));
  for (size_t size = 0; size < 200; ++size) {
    EXPECT_FALSE(DecodeSegmentHead(EncodeSegmentHead(GoldenHead()).substr(0, size)).ok() && size < kHeaderBytes + 65);
  }
}

}  // namespace
}  // namespace sluice::journal
