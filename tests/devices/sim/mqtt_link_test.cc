// A device's MQTT client against a server that the test plays byte by byte, on one thread.
#include "devices/sim/mqtt_link.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"

namespace sluice::sim {
namespace {

using namespace std::string_view_literals;

struct Heard final : LinkListener {
  void OnUp() override { ++ups; }
  void OnDown(std::string_view reason) override { downs.emplace_back(reason); }
  void OnPuback(uint64_t, uint64_t seq) override { acknowledged.push_back(seq); }
  void OnUnheard(uint64_t, uint64_t seq) override { unheard.push_back(seq); }
  void OnServerRefusal(uint64_t, uint64_t seq, uint8_t code, std::string_view) override { refused.emplace_back(seq, code); }
  void OnDup() override { ++dups; }
  void OnReceipt(const absl::StatusOr<Receipt>& receipt) override { receipts += receipt.ok() ? 1 : 0; }
  int ups = 0, receipts = 0, dups = 0;
  std::vector<std::string> downs;
  std::vector<uint64_t> acknowledged, unheard;
  std::vector<std::pair<uint64_t, int>> refused;
};

struct Publish {
  uint16_t id;
  bool dup;
  std::string body;
  bool operator==(const Publish&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Publish& publish) {
  return out << publish.body << " id " << publish.id << (publish.dup ? " dup" : "");
}

class MqttLinkTest : public testing::Test {
 protected:
  MqttLinkTest() {
    listening_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listening_.get(), 8), 0);
    getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    options_.port = ntohs(address.sin_port);
    options_.listener = true;
    options_.receipts = false;
    options_.resume = true;
  }

  void Make() { link_ = std::make_unique<MqttLink>("vm-1", options_, contexts_, poller_, heard_, random_); }

  // Lets the link work until the condition holds.
  template <typename Condition>
  void Until(Condition&& holds, const char* what) {
    const int64_t end_us = clock_.MonotonicUs() + 10'000'000;
    while (!holds()) {
      ASSERT_LT(clock_.MonotonicUs(), end_us) << what;
      link_->Tick(clock_.MonotonicUs());
      poller_.Wait(1000);
    }
  }

  // The next packet's bytes, from the link.
  std::string Packet() {
    std::string out;
    Until(
        [&] {
          if (!server_) server_ = UniqueFd(accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK));
          char chunk[4096];
          const ssize_t count = server_ ? recv(server_.get(), chunk, sizeof chunk, 0) : -1;
          if (count > 0) came_.append(chunk, static_cast<size_t>(count));
          if (came_.size() < 2) return false;
          const size_t size = 2U + static_cast<uint8_t>(came_[1]);  // all of the test's are shorter than 128
          if (came_.size() < size) return false;
          out = came_.substr(0, size);
          came_.erase(0, size);
          return true;
        },
        "a packet of the device");
    return out;
  }
  Publish NextPublish() {
    const std::string packet = Packet();
    if (packet.empty() || (packet[0] & 0xF0) != 0x30) return {0, false, "no publish"};
    const size_t at = 4U + static_cast<uint8_t>(packet[3]);
    const size_t body = at + (options_.version == MqttVersion::k5 ? 3 : 2);
    return {static_cast<uint16_t>(static_cast<uint8_t>(packet[at]) << 8 | static_cast<uint8_t>(packet[at + 1])),
            (packet[0] & 8) != 0, packet.substr(body)};
  }
  void Say(std::string_view bytes) {
    ASSERT_EQ(send(server_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // Accepts the connection; with bytes of CONNACK's properties.
  std::string ConnectAndAccept(bool session_present, std::string_view properties = "") {
    const int before = heard_.ups;
    const std::string connect = Packet();
    std::string connack = "\x20";
    connack += static_cast<char>(properties.size() + (options_.version == MqttVersion::k5 ? 3 : 2));
    connack += session_present ? '\1' : '\0';
    connack += '\0';
    if (options_.version == MqttVersion::k5) connack += static_cast<char>(properties.size());
    connack += properties;
    Say(connack);
    Until([&] { return heard_.ups > before; }, "up");
    return connect;
  }
  bool Send(uint64_t seq) {
    const bool sent = link_->Send({.boot = 7, .seq = seq, .kind = Kind::kSale, .body = "b" + std::to_string(seq)});
    link_->EndBurst();
    return sent;
  }
  void Puback(uint16_t id) {
    Say(std::string("\x40\x02", 2) + static_cast<char>(id >> 8) + static_cast<char>(id & 0xFF));
  }
  void Cut() {
    const size_t before = heard_.downs.size();
    server_.Reset();
    came_.clear();
    Until([&] { return heard_.downs.size() > before; }, "down");
  }

  SystemClock clock_;
  SystemRandom random_;
  Poller poller_;
  TlsContexts contexts_;
  ServerOptions options_;
  Heard heard_;
  UniqueFd listening_, server_;
  std::string came_;
  std::unique_ptr<MqttLink> link_;
};

TEST_F(MqttLinkTest, ResumesWithDupUnderTheSameIdsWhereTheServerKeptTheSession) {
  for (const MqttVersion version : {MqttVersion::k5, MqttVersion::k311}) {
    options_.version = version;
    heard_ = {};
    Make();
    const std::string connect = ConnectAndAccept(false);
    EXPECT_EQ(connect[9] & 0x02, 0) << "not a clean start";
    for (uint64_t seq = 1; seq <= 4; ++seq) ASSERT_TRUE(Send(seq));
    for (uint64_t seq = 1; seq <= 4; ++seq) EXPECT_EQ(NextPublish(), (Publish{static_cast<uint16_t>(seq), false, "b" + std::to_string(seq)}));
    Puback(1);
    Until([&] { return heard_.acknowledged.size() == 1; }, "acknowledged");
    Cut();
    ConnectAndAccept(true);
    // As a device does: everything open, from the lowest, then something new.
    for (uint64_t seq = 2; seq <= 5; ++seq) ASSERT_TRUE(Send(seq));
    EXPECT_EQ(NextPublish(), (Publish{2, true, "b2"}));
    // Cut again in the middle: what went again goes a third time, before what did not.
    Cut();
    ConnectAndAccept(true);
    for (uint64_t seq = 2; seq <= 6; ++seq) ASSERT_TRUE(Send(seq));
    for (uint64_t seq = 2; seq <= 5; ++seq) EXPECT_EQ(NextPublish(), (Publish{static_cast<uint16_t>(seq), true, "b" + std::to_string(seq)}));
    EXPECT_EQ(NextPublish(), (Publish{6, false, "b6"}));
    for (uint16_t id = 2; id <= 6; ++id) Puback(id);
    Until([&] { return heard_.acknowledged.size() == 6; }, "all acknowledged");
    EXPECT_EQ(heard_.acknowledged, (std::vector<uint64_t>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(heard_.dups, 7) << "three, then four";
    link_.reset();
    server_.Reset();
    came_.clear();
  }
}

TEST_F(MqttLinkTest, WithoutItsSessionItSendsAnewUnlessToldOtherwise) {
  for (const bool always : {false, true}) {
    options_.dup_always = always;
    Make();
    ConnectAndAccept(false);
    ASSERT_TRUE(Send(1));
    EXPECT_EQ(NextPublish(), (Publish{1, false, "b1"}));
    Cut();
    ConnectAndAccept(false);
    ASSERT_TRUE(Send(1));
    EXPECT_EQ(NextPublish(), (Publish{static_cast<uint16_t>(always ? 1 : 2), always, "b1"}));
    link_.reset();
    server_.Reset();
    came_.clear();
  }
}

TEST_F(MqttLinkTest, KeepsTheReceiveMaximum) {
  Make();
  ConnectAndAccept(false, "\x21\0\x02"sv);
  EXPECT_TRUE(Send(1));
  EXPECT_TRUE(Send(2));
  EXPECT_FALSE(Send(3));
  EXPECT_FALSE(link_->CanSend());
  Puback(1);
  Until([&] { return link_->CanSend(); }, "room");
  EXPECT_TRUE(Send(3));
}

TEST_F(MqttLinkTest, TellsWhatReachedNobody) {
  Make();
  ConnectAndAccept(false);
  ASSERT_TRUE(Send(1));
  ASSERT_TRUE(Send(2));
  Say("\x40\x03\0\x01\x10"sv);
  Puback(2);
  Until([&] { return heard_.acknowledged.size() == 1; }, "acknowledged");
  EXPECT_EQ(heard_.unheard, std::vector<uint64_t>{1});
}

TEST_F(MqttLinkTest, ARefusalIsToldAndQuotaExceededEndsTheConnection) {
  Make();
  ConnectAndAccept(false);
  ASSERT_TRUE(Send(1));
  ASSERT_TRUE(Send(2));
  Say("\x40\x03\0\x01\x99"sv);
  Until([&] { return heard_.refused.size() == 1; }, "refused");
  EXPECT_EQ(heard_.refused[0], (std::pair<uint64_t, int>{1, 0x99}));
  EXPECT_TRUE(heard_.downs.empty());
  Say("\x40\x03\0\x02\x97"sv);
  Until([&] { return heard_.downs.size() == 1; }, "down");
  EXPECT_EQ(heard_.refused.back(), (std::pair<uint64_t, int>{2, 0x97}));
  EXPECT_NE(heard_.downs[0].find("quota exceeded (0x97)"), std::string::npos) << heard_.downs[0];
  EXPECT_TRUE(heard_.acknowledged.empty());
}

TEST_F(MqttLinkTest, SubscribesBeforeTheFirstEventWhereReceiptsCount) {
  options_.receipts = true;
  options_.resume = false;
  Make();
  const std::string connect = Packet();
  EXPECT_NE(connect[9] & 0x02, 0) << "a clean start";
  Say("\x20\x03\0\0\0"sv);
  EXPECT_EQ(Packet(), "\x82\x18\xFF\xFF\0\0\x12sluice/v1/vm-1/ack\x01"sv);
  EXPECT_FALSE(link_->CanSend());
  Say("\x90\x04\xFF\xFF\0\x01"sv);
  Until([&] { return link_->CanSend(); }, "up");
  Say(std::string("\x32\x1A\0\x03" "ack\0\x09\0", 10) + R"({"ranges":[[1,2]]})");
  Until([&] { return heard_.receipts == 1; }, "a receipt");
  EXPECT_EQ(Packet(), "\x40\x02\0\x09"sv);
}

TEST_F(MqttLinkTest, ASilentServerIsPingedAndThenLeft) {
  options_.keepalive_s = 1;
  Make();
  ConnectAndAccept(false);
  EXPECT_EQ(Packet(), "\xC0\0"sv);
  Say("\xD0\0"sv);
  EXPECT_EQ(Packet(), "\xC0\0"sv);
  Until([&] { return heard_.downs.size() == 1; }, "down");
  EXPECT_EQ(heard_.downs[0], "no answer to a ping");
}

TEST_F(MqttLinkTest, ARefusedConnectionSaysWhy) {
  options_.passwords = {{"vm-1", "secret"}};
  Make();
  const std::string connect = Packet();
  EXPECT_NE(connect.find("\0\x04vm-1\0\x06secret"sv), std::string::npos);
  Say("\x20\x03\0\x87\0"sv);
  Until([&] { return heard_.downs.size() == 1; }, "down");
  EXPECT_EQ(heard_.downs[0], "the server refused the connection: not authorised (0x87)");
}

TEST_F(MqttLinkTest, EndsSoThatTheServerPublishesTheWill) {
  Make();
  ConnectAndAccept(false);
  link_->Close();
  EXPECT_EQ(Packet(), "\xE0\x07\x04\x05\x11\0\0\0\0"sv);
}

}  // namespace
}  // namespace sluice::sim
