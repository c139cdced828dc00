#include "tests/devices/transport/mqtt_session_fixture.h"

#include "base/strings.h"
#include "tests/devices/transport/mqtt_describe.h"

namespace sluice::transport {

void FakeMqttHost::Authenticate(MqttConnection&, const MqttCredentials& it) {
  authentications.push_back(StrCat(it.client_id, " ", it.has_user_name ? it.user_name : "-", " ",
                                   it.has_password ? it.password : "-"));
}

MqttVerdict FakeMqttHost::Publish(uint64_t token, const MqttPublication& it) {
  const MqttVerdict answer = decide ? decide(it) : verdict;
  if (answer.kind == MqttVerdict::Kind::kNoRoom || answer.kind == MqttVerdict::Kind::kRefused) return answer;
  publications.push_back({token, it.connection, it.identity.device, std::string(it.client_id), std::string(it.topic),
                          std::string(it.payload), it.qos, it.dup, it.retain, it.will, Describe(it.properties)});
  return answer;
}

void FakeMqttHost::NotTaken(const MqttPublication& it, MqttReason reason, std::string_view why) {
  not_taken.push_back({std::string(it.topic), reason, std::string(why)});
}

void FakeMqttHost::DeliveryEnded(uint64_t tag, const MqttIdentity& identity, std::string_view client_id, MqttDeliveryEnd end,
                                 MqttReason reason) {
  static constexpr const char* kNames[] = {"acknowledged", "refused", "expired", "too large", "dropped"};
  std::string line = StrCat(tag, " ", identity.device, " ", client_id, " ", std::string_view(kNames[static_cast<int>(end)]));
  if (reason != MqttReason::kSuccess) line += StrCat(" ", MqttReasonName(reason));
  ended.push_back(line);
}

std::vector<std::string> FakeMqttHost::TakeTopics() {
  std::vector<std::string> topics;
  for (; taken_topics < publications.size(); ++taken_topics) {
    topics.push_back(publications[taken_topics].topic + "=" + publications[taken_topics].payload);
  }
  return topics;
}

TestMqttClient::TestMqttClient(MqttSessionFixture& the_fixture, MqttLevel the_level, std::string id, std::string the_device)
    : fixture(the_fixture), level(the_level), client_id(std::move(id)), device(std::move(the_device)) {
  connect.level = level;
  connect.clean = true;
  connect.client_id = client_id;
}

std::string TestMqttClient::Connect() {
  SendConnect();
  Authenticate();
  const std::vector<std::string> came = Take();
  return came.empty() ? "" : came[0];
}

void TestMqttClient::SendConnect() {
  inbox.clear();
  link = fixture.server().Open(fixture.next_connection++, fixture.now_ms);
  Send(connect);
}

void TestMqttClient::Authenticate() {
  if (!link->closing()) link->Authenticated(fixture.IdentityOf(device), fixture.now_ms);
}

void TestMqttClient::Send(const MqttPacket& packet) {
  std::string bytes;
  ASSERT_GT(EncodeMqtt(packet, level, &bytes), 0u);
  SendBytes(bytes);
}

void TestMqttClient::SendHex(std::string_view hex) { SendBytes(FromHex(hex)); }

void TestMqttClient::SendBytes(std::string_view bytes) { link->Received(bytes, fixture.now_ms); }

void TestMqttClient::Publish(std::string_view topic, std::string_view payload, int qos, uint16_t packet_id, bool dup,
                             bool retain) {
  MqttPublish publish;
  publish.topic = topic;
  publish.payload = payload;
  publish.qos = static_cast<uint8_t>(qos);
  publish.packet_id = packet_id;
  publish.dup = dup;
  publish.retain = retain;
  Send(publish);
}

void TestMqttClient::Ack(MqttType type, uint16_t packet_id, MqttReason reason) {
  MqttAck ack;
  ack.type = type;
  ack.packet_id = packet_id;
  ack.reason = reason;
  Send(ack);
}

void TestMqttClient::Subscribe(uint16_t packet_id, std::vector<MqttSubscription> subscriptions) {
  MqttSubscribe subscribe;
  subscribe.packet_id = packet_id;
  subscribe.subscriptions = std::move(subscriptions);
  Send(subscribe);
}

std::vector<std::string> TestMqttClient::Take() {
  std::vector<std::string> words;
  if (link == nullptr) return words;
  std::string bytes;
  do {
    link->TakeOutput(&bytes, fixture.now_ms);
    inbox += bytes;
  } while (!bytes.empty());
  for (;;) {
    MqttFrame frame;
    MqttFault fault;
    MqttPacket packet;
    size_t need = 0;
    const MqttFraming framing = FindMqttFrame(inbox, level, kMqttMaxPacket, &frame, &need, &fault);
    if (framing == MqttFraming::kMore) return words;
    if (framing == MqttFraming::kFault || !DecodeMqtt(frame, level, MqttSender::kServer, &packet, &fault)) {
      ADD_FAILURE() << "the server sent what is no packet: " << fault.Text() << ": " << ToHex(inbox);
      return words;
    }
    words.push_back(Describe(packet));
    inbox.erase(0, frame.size());
  }
}

void TestMqttClient::Lose() {
  link->Closed("connection reset", fixture.now_ms);
  link.reset();
  inbox.clear();
}

std::shared_ptr<const MqttIdentity> MqttSessionFixture::IdentityOf(const std::string& device) const {
  auto identity = std::make_shared<MqttIdentity>();
  identity->device = device;
  identity->credential = credential;
  identity->publish = {"sluice/v1/" + device + "/#"};
  identity->subscribe = {"sluice/v1/" + device + "/#", "homeassistant/status"};
  identity->response_information = "sluice/v1/" + device + "/reply";
  return identity;
}

void MqttSessionFixture::AllSafe() {
  for (; safe_until < host.publications.size(); ++safe_until) Safe(host.publications[safe_until].token);
}

}  // namespace sluice::transport
