// A host that remembers, and clients that speak in words, for the tests of mqtt_session.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "devices/transport/mqtt_packet.h"
#include "devices/transport/mqtt_session.h"

namespace sluice::transport {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class FakeMqttHost final : public MqttHost {
 public:
  struct Publication {
    uint64_t token = 0, connection = 0;
    std::string device, client_id, topic, payload;
    int qos = 0;
    bool dup = false, retain = false, will = false;
    std::string properties;   // in words
  };
  struct NotTakenOne {
    std::string topic;
    MqttReason reason;
    std::string why;
  };

  void Authenticate(MqttConnection& connection, const MqttCredentials& credentials) override;
  MqttVerdict Publish(uint64_t token, const MqttPublication& publication) override;
  void NotTaken(const MqttPublication& publication, MqttReason reason, std::string_view why) override;
  bool StoreFull() const override { return store_full; }
  bool TurnIsOver() const override { return turn_over; }
  void DeliveryEnded(uint64_t tag, const MqttIdentity& identity, std::string_view client_id, MqttDeliveryEnd end,
                     MqttReason reason) override;
  void Wake(MqttConnection& connection) override { ++wakes[connection.id()]; }

  // "sluice/v1/d1/sale=1" of everything handed up since the last call.
  std::vector<std::string> TakeTopics();

  MqttVerdict verdict;                                                 // for all, unless `decide` is there
  std::function<MqttVerdict(const MqttPublication&)> decide;
  bool store_full = false;
  bool turn_over = false;
  std::vector<std::string> authentications;                            // "client user password"
  std::vector<Publication> publications;
  size_t taken_topics = 0;
  std::vector<NotTakenOne> not_taken;
  std::vector<std::string> ended;                                      // "tag client end"
  std::map<uint64_t, int> wakes;                                       // by connection
};

class MqttSessionFixture;

// A client. What is sent goes to the connection at once; what comes back is decoded as a client does, strictly.
class TestMqttClient {
 public:
  TestMqttClient(MqttSessionFixture& fixture, MqttLevel level, std::string client_id = "c", std::string device = "d1");

  MqttConnect connect;   // to be changed before Connect
  // CONNECT, authentication, CONNACK. Returns the CONNACK in words.
  std::string Connect();
  void SendConnect();
  void Authenticate();
  void Send(const MqttPacket& packet);
  void SendHex(std::string_view hex);
  void SendBytes(std::string_view bytes);
  void Publish(std::string_view topic, std::string_view payload, int qos, uint16_t packet_id, bool dup = false,
               bool retain = false);
  void PublishSale(std::string_view payload, uint16_t packet_id, bool dup = false) {
    Publish("sluice/v1/" + device + "/sale", payload, 1, packet_id, dup);
  }
  void Ack(MqttType type, uint16_t packet_id, MqttReason reason = MqttReason::kSuccess);
  void Subscribe(uint16_t packet_id, std::vector<MqttSubscription> subscriptions);
  // The packets that came since the last call, in words. The connection's output is taken.
  std::vector<std::string> Take();
  // The network connection breaks.
  void Lose();
  bool closing() const { return link == nullptr || link->closing(); }
  std::string closed_why() const { return link->status().closed_why; }

  MqttSessionFixture& fixture;
  const MqttLevel level;
  std::string client_id;
  const std::string device;
  std::unique_ptr<MqttConnection> link;
  std::string inbox;   // not decoded yet
};

class MqttSessionFixture : public testing::Test {
 public:
  void Start() { sessions = MakeMqttSessions(options, host, random); }
  MqttSessions& server() {
    if (sessions == nullptr) Start();
    return *sessions;
  }
  // What a device of that name may.
  std::shared_ptr<const MqttIdentity> IdentityOf(const std::string& device) const;
  void Pass(int64_t ms) {   // time
    now_ms += ms;
    server().Tick(now_ms);
  }
  // The newest publication that was handed up.
  uint64_t Token(size_t from_the_end = 0) const {
    return host.publications.at(host.publications.size() - 1 - from_the_end).token;
  }
  void Forget(const std::string& device, std::string_view why) {
    server().Forget([&](const MqttIdentity& it) { return it.device == device; }, MqttReason::kNotAuthorized, why, now_ms);
  }
  void Safe(uint64_t token) { server().Safe(token, now_ms); }
  void AllSafe();   // in the order in which they came

  int64_t now_ms = 1'000'000;
  uint64_t credential = 0;   // of who is authenticated
  uint64_t next_connection = 1;
  MqttSessionOptions options;
  FakeMqttHost host;
  SeededRandom random{1};
  std::unique_ptr<MqttSessions> sessions;
  size_t safe_until = 0;
};

}  // namespace sluice::transport
