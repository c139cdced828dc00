// A script of calls → sessions of two devices, each with two clients that may send anything. Whatever they do: what the server
// sends is well-formed, limits are kept, nothing is acknowledged before it is safe. The same bytes in one piece and one by one
// get the same answer.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "devices/transport/mqtt_packet.h"
#include "devices/transport/mqtt_session.h"

namespace {

using namespace sluice::transport;   // NOLINT(google-build-using-namespace): a program of one file

void Check(bool good) {
  if (!good) std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  uint8_t Byte() { return left_ == 0 ? 0 : (--left_, *data_++); }
  std::string_view Bytes(size_t size) {
    size = std::min(size, left_);
    const std::string_view bytes(reinterpret_cast<const char*>(data_), size);
    data_ += size;
    left_ -= size;
    return bytes;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

MqttSessionOptions SmallOptions() {
  MqttSessionOptions options;
  options.max_packet_bytes = 1024;
  options.receive_maximum = 4;
  options.max_waiting_bytes = 4096;
  options.max_total_waiting_bytes = 6000;
  options.max_output_bytes = 2048;
  options.topic_alias_maximum = 2;
  options.publishes_per_second = 100;
  options.publish_burst = 20;
  options.max_keep_alive_s = 30;
  options.max_subscriptions = 3;
  options.max_queued_messages = 5;
  options.max_queued_bytes = 6000;
  options.max_total_queued_bytes = 8000;
  options.max_retained_messages = 3;
  options.max_retained_bytes = 4000;
  options.max_total_retained_bytes = 6000;
  options.max_sessions_per_device = 3;
  options.max_sessions = 5;
  options.max_waiting_wills = 2;
  options.patience_ms = 2000;
  return options;
}

class Host final : public MqttHost {
 public:
  void Authenticate(MqttConnection& connection, const MqttCredentials&) override { asking.insert(connection.id()); }
  MqttVerdict Publish(uint64_t token, const MqttPublication& it) override {
    Check(!it.topic.empty() && it.identity.device.size() == 2);
    Check(it.topic.substr(0, 2) == it.identity.device);   // nobody speaks for another one
    Check((token == 0) == (it.qos == 0 || it.will));
    const auto kind = static_cast<MqttVerdict::Kind>(verdicts & 3);
    verdicts = static_cast<uint8_t>(verdicts >> 2 | verdicts << 6);
    if (kind == MqttVerdict::Kind::kTaken && token != 0) taken.push_back(token);
    if (kind == MqttVerdict::Kind::kSafe || kind == MqttVerdict::Kind::kRefused) ++answered;
    return {kind, MqttReason::kQuotaExceeded, "no"};
  }
  void NotTaken(const MqttPublication&, MqttReason reason, std::string_view why) override {
    Check(IsFailure(reason) && !why.empty());
    ++answered;
  }
  bool StoreFull() const override { return (verdicts & 3) == 2; }
  void DeliveryEnded(uint64_t tag, const MqttIdentity&, std::string_view, MqttDeliveryEnd, MqttReason) override {
    Check(tag != 0);
  }
  void Wake(MqttConnection&) override {}

  std::set<uint64_t> asking;
  std::vector<uint64_t> taken;
  uint64_t answered = 0;     // publishes that may be acknowledged
  uint8_t verdicts = 0;
};

struct Client {
  std::unique_ptr<MqttConnection> link;
  std::string inbox;
  bool connacked = false, disconnected = false;
};

// What comes out is packets of a server, CONNACK first and once, nothing after DISCONNECT.
uint64_t CheckOutput(Client& client, int64_t now_ms) {
  std::string out;
  client.link->TakeOutput(&out, now_ms);
  client.inbox += out;
  const MqttLevel level = client.link->status().level;
  uint64_t acknowledgements = 0;
  for (;;) {
    MqttFrame frame;
    MqttFault fault;
    MqttPacket packet;
    size_t need = 0;
    if (client.inbox.empty()) return acknowledgements;
    Check(FindMqttFrame(client.inbox, level, kMqttMaxPacket, &frame, &need, &fault) == MqttFraming::kWhole);
    Check(DecodeMqtt(frame, level, MqttSender::kServer, &packet, &fault));
    Check(!client.disconnected);
    Check((frame.type == MqttType::kConnack) == !client.connacked);
    client.connacked = true;
    client.disconnected = frame.type == MqttType::kDisconnect;
    if (frame.type == MqttType::kPuback || frame.type == MqttType::kPubrec) ++acknowledgements;
    client.inbox.erase(0, frame.size());
  }
}

void CheckFigures(const MqttSessions& sessions, const MqttSessionOptions& options) {
  const MqttSessionFigures figures = sessions.figures();
  constexpr uint64_t kAny = 1u << 20;   // an underflow is larger
  Check(figures.connections <= 4 && figures.sessions <= options.max_sessions);
  Check(figures.waiting < kAny && figures.waiting_bytes <= options.max_total_waiting_bytes);
  Check(figures.queued <= options.max_queued_messages * options.max_sessions);
  Check(figures.queued_bytes <= options.max_total_queued_bytes);
  Check(figures.retained < kAny && figures.retained_bytes <= options.max_total_retained_bytes);
  Check(figures.inflight < kAny && figures.subscriptions <= options.max_subscriptions * options.max_sessions);
}

std::shared_ptr<const MqttIdentity> IdentityOf(int device) {
  auto identity = std::make_shared<MqttIdentity>();
  identity->device = "d" + std::to_string(device);
  identity->publish = {identity->device + "/#"};
  identity->subscribe = {identity->device + "/#"};
  return identity;
}

void RunScript(Input input) {
  const MqttSessionOptions options = SmallOptions();
  Host host;
  sluice::SeededRandom random(1);
  const auto sessions = MakeMqttSessions(options, host, random);
  Client clients[4];
  int64_t now_ms = 0;
  uint64_t next_id = 1, safe = 0, acknowledged = 0;
  while (!input.empty()) {
    const uint8_t op = input.Byte();
    const int which = op & 3;
    Client& client = clients[which];
    switch (op >> 2 & 15) {
      case 0:
      case 1:
      case 2: {   // bytes; a connection, where there is none
        if (client.link == nullptr) {
          client = {sessions->Open(next_id++, now_ms), "", false, false};
        }
        client.link->Received(input.Bytes(input.Byte()), now_ms);
        break;
      }
      case 3:
        if (client.link != nullptr && host.asking.erase(client.link->id()) > 0) {
          client.link->Authenticated(IdentityOf(which / 2), now_ms);
        }
        break;
      case 4:
        if (client.link != nullptr && host.asking.erase(client.link->id()) > 0) {
          client.link->AuthenticationRefused(MqttReason::kNotAuthorized, "no", now_ms);
        }
        break;
      case 5:
        if (client.link != nullptr) {
          acknowledged += CheckOutput(client, now_ms);
          client.link->Closed("lost", now_ms);
          Check(client.link->closing() && !client.link->reading());
          client.link.reset();
        }
        break;
      case 6:
      case 7:
      case 8: {
        if (host.taken.empty()) break;
        const size_t at = input.Byte() % host.taken.size();
        const uint64_t token = host.taken[at];
        host.taken.erase(host.taken.begin() + static_cast<std::ptrdiff_t>(at));
        ++safe;
        if ((op >> 2 & 15) == 6) sessions->Safe(token, now_ms);
        if ((op >> 2 & 15) == 7) sessions->Refused(token, MqttReason::kQuotaExceeded, "no", now_ms);
        if ((op >> 2 & 15) == 8) sessions->Lost(token, now_ms);
        break;
      }
      case 9: host.verdicts = input.Byte(); break;
      case 10: sessions->Resume(now_ms); break;
      case 11: {
        const uint8_t how = input.Byte();
        const std::string device = "d" + std::to_string(which / 2);
        sessions->Deliver(device, {.topic = device + "/" + static_cast<char>('a' + (how & 3)), .payload = input.Bytes(how >> 5),
                                   .qos = static_cast<uint8_t>(how >> 2 & 1), .retain = (how & 8) != 0,
                                   .expiry_s = how & 16u, .tag = how}, now_ms);
        break;
      }
      case 12: now_ms += input.Byte() * 50; sessions->Tick(now_ms); break;
      case 13: sessions->Tick(now_ms = std::max(now_ms, std::min(sessions->next_tick_ms(), now_ms + 100'000))); break;
      case 14:
        if (client.link != nullptr && which == 3) client.link->Disconnect(MqttReason::kAdministrativeAction, "bye", now_ms);
        if (which == 2) sessions->Forget([](const MqttIdentity& it) { return it.device == "d1"; }, MqttReason::kNotAuthorized, "gone", now_ms);
        break;
      default:
        if (client.link != nullptr) acknowledged += CheckOutput(client, now_ms);
        break;
    }
    CheckFigures(*sessions, options);
  }
  for (Client& client : clients) {
    if (client.link != nullptr) acknowledged += CheckOutput(client, now_ms);
  }
  sessions->Shutdown(now_ms);
  for (Client& client : clients) {
    if (client.link == nullptr) continue;
    acknowledged += CheckOutput(client, now_ms);
    Check(client.link->closing());
    client.link.reset();
  }
  // A PUBREC may be sent again; a PUBACK answers one publish that was answered, or its repetition.
  const MqttSessionFigures figures = sessions->figures();
  Check(acknowledged <= safe + host.answered + figures.merged);
  Check(figures.connections == 0 && figures.waiting == 0 && figures.waiting_bytes == 0);
}

// One client, everything safe at once: the answer to `bytes` handed in in pieces of `piece`.
std::string Answer(std::string_view bytes, size_t piece) {
  MqttSessionOptions options = SmallOptions();
  options.publishes_per_second = 0;
  options.max_output_bytes = 1u << 20;
  Host host;
  host.verdicts = 0x55;   // safe
  sluice::SeededRandom random(1);
  const auto sessions = MakeMqttSessions(options, host, random);
  const auto link = sessions->Open(1, 0);
  while (!bytes.empty()) {
    link->Received(bytes.substr(0, piece), 0);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    if (host.asking.erase(1) > 0) link->Authenticated(IdentityOf(0), 0);
  }
  std::string out;
  link->TakeOutput(&out, 0);
  return out + link->status().closed_why;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  if ((data[0] & 1) == 0) {
    RunScript(Input(data + 1, size - 1));
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = Answer(bytes, std::max<size_t>(bytes.size(), 1));
  Check(whole == Answer(bytes, 1));
  Check(whole == Answer(bytes, 7));
  return 0;
}
