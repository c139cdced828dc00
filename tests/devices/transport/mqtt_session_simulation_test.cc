// Clients that keep to the protocol, a network that loses connections and what was in them, a host that is slow, full or
// forgetful, in every order that the dice give. Whatever happens: nothing is acknowledged that is not safe, nothing is lost, QoS 2
// is handed up once, everything is in order.
#include <algorithm>
#include <deque>
#include <optional>
#include <random>
#include <set>

#include "base/strings.h"
#include "tests/devices/transport/mqtt_describe.h"
#include "tests/devices/transport/mqtt_session_fixture.h"

namespace sluice::transport {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  size_t Below(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(engine_); }
  bool OneIn(size_t n) { return Below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

// The world's view of one publish.
struct Message {
  int number = 0;
  uint8_t qos = 1;
  uint16_t packet_id = 0;
  enum class State { kUnsent, kSent, kReceived /* QoS 2: PUBREC came */, kDone } state = State::kUnsent;
  bool sent_before = false, sent_here = false;
  int handed_up = 0;
  bool safe = false;
};

class World : public MqttHost {
 public:
  World(uint64_t seed, MqttLevel level)
      : dice_(seed), level_(level), random_(seed), sessions_(MakeMqttSessions(Options(), *this, random_)) {
    identity_ = std::make_shared<MqttIdentity>();
    identity_->device = "d";
    identity_->publish = {"d/up/#"};
    identity_->subscribe = {"d/down/#"};
    for (int i = 0; i < 40; ++i) messages_.push_back({.number = i, .qos = static_cast<uint8_t>(1 + dice_.Below(2))});
  }

  void Run() {
    for (int step = 0; step < 400 && !failed_; ++step) Step();
    calm_ = true;
    for (int step = 0; step < 3000 && !failed_ && !Finished(); ++step) Step();
    if (failed_) return;
    if (!Finished()) return Fail("does not come to an end: " + Where());
    const MqttSessionFigures figures = sessions_->figures();
    if (figures.inflight + figures.waiting + figures.waiting_bytes + figures.queued + figures.queued_bytes != 0) {
      return Fail(StrCat("something is left: inflight ", figures.inflight, " waiting ", figures.waiting, " queued ",
                         figures.queued));
    }
    if (figures.deliveries_dropped != 0) Fail("a delivery was dropped");
  }
  const std::string& failure() const { return failure_; }

  // MqttHost.
  void Authenticate(MqttConnection&, const MqttCredentials&) override { asked_ = true; }
  MqttVerdict Publish(uint64_t token, const MqttPublication& it) override {
    using Kind = MqttVerdict::Kind;
    if (!calm_ && dice_.OneIn(5)) return {Kind::kNoRoom};
    Message& message = messages_.at(static_cast<size_t>(std::stoi(std::string(it.payload))));
    ++message.handed_up;
    if (message.number > newest_ + 1) Fail(StrCat("message ", message.number, " came before ", newest_ + 1));
    newest_ = std::max(newest_, message.number);
    // Handed up once more only where its acknowledgement may have been lost on its way, or the host lost it.
    if (message.qos == 2 && message.handed_up > 1 + lost_[message.number]) Fail(StrCat("QoS 2 twice: ", message.number));
    if (message.qos == 1 && message.handed_up > 1 + lost_[message.number] + acks_on_the_way_[message.number]) {
      Fail(StrCat("QoS 1 twice without reason: ", message.number));
    }
    if (dice_.OneIn(6)) {
      message.safe = true;
      return {Kind::kSafe};
    }
    tokens_.push_back({token, message.number});
    return {Kind::kTaken};
  }
  void NotTaken(const MqttPublication&, MqttReason, std::string_view why) override { Fail(std::string(why)); }
  bool StoreFull() const override { return false; }
  void DeliveryEnded(uint64_t, const MqttIdentity&, std::string_view, MqttDeliveryEnd, MqttReason) override {}
  void Wake(MqttConnection&) override {}

 private:
  static MqttSessionOptions Options() {
    MqttSessionOptions options;
    options.receive_maximum = 8;
    options.max_output_bytes = 1024;
    options.max_waiting_bytes = 3000;
    return options;
  }

  void Fail(const std::string& what) {
    if (!failed_) failure_ = what;
    failed_ = true;
  }
  std::string Where() const {
    std::string text = StrCat("delivered ", received_, " of ", published_, link_ == nullptr ? ", not connected" : "");
    for (const Message& it : messages_) {
      if (it.state != Message::State::kDone) text += StrCat(" ", it.number, ":", static_cast<int>(it.state));
    }
    return text;
  }
  bool Finished() const {
    return link_ != nullptr && connected_ && published_ == received_ && owed_.empty() && to_server_.empty() &&
           sessions_->figures().queued == 0 &&
           std::all_of(messages_.begin(), messages_.end(), [](const Message& it) { return it.state == Message::State::kDone; });
  }

  void Step() {
    now_ms_ += static_cast<int64_t>(dice_.Below(50));
    switch (dice_.Below(calm_ ? 8 : 11)) {
      case 0: return link_ == nullptr ? Connect() : ClientSends();
      case 1: return ClientSends();
      case 2: return MoveToServer();
      case 3: return MoveToClient();
      case 4: return ClientAcknowledges();
      case 5: return BecomeSafe();
      case 6: sessions_->Resume(now_ms_); return;
      case 7: sessions_->Tick(now_ms_); return;
      case 8: return Deliver();
      case 9:
        if (dice_.OneIn(3)) Lose();
        return;
      case 10:
        if (dice_.OneIn(6)) HostLoses();
        return;
    }
  }

  void Connect() {
    link_ = sessions_->Open(++connections_, now_ms_);
    asked_ = connected_ = false;
    MqttConnect connect;
    connect.level = level_;
    connect.clean = false;
    connect.client_id = "c";
    if (level_ == MqttLevel::k5) {
      connect.properties.SetNumber(MqttProperty::kSessionExpiryInterval, 1'000'000);
      connect.properties.SetNumber(MqttProperty::kReceiveMaximum, 4);
    }
    EncodeMqtt(connect, &to_server_);
    for (Message& it : messages_) it.sent_here = false;
    owed_.clear();
    seen_here_.clear();
    order_.clear();
    in_flight_ = 0;
  }

  void Lose() {
    if (link_ == nullptr) return;
    link_->Closed("lost", now_ms_);
    link_.reset();
    to_server_.clear();
    from_server_.clear();   // what was on its way is lost
  }

  // What has to be sent again first, in the original order; then new ones, as the window allows.
  void ClientSends() {
    if (link_ == nullptr || !connected_) return;
    for (Message& it : messages_) {
      using State = Message::State;
      if (it.state == State::kDone || it.sent_here) continue;
      if (level_ == MqttLevel::k5 && in_flight_ >= 8 && it.state != State::kReceived) continue;
      if (it.state == State::kReceived) {
        MqttAck rel;
        rel.type = MqttType::kPubrel;
        rel.packet_id = it.packet_id;
        EncodeMqtt(rel, level_, &to_server_);
      } else {
        if (it.state == State::kUnsent) it.packet_id = FreeId();
        MqttPublish publish;
        const std::string payload = std::to_string(it.number);
        publish.topic = "d/up/x";
        publish.payload = payload;
        publish.qos = it.qos;
        publish.packet_id = it.packet_id;
        publish.dup = it.sent_before;
        EncodeMqtt(publish, level_, &to_server_);
        it.state = State::kSent;
        order_.push_back(it.number);
        ++in_flight_;
      }
      it.sent_before = it.sent_here = true;
      return;
    }
  }

  // Small packet ids, used again as soon as may be.
  uint16_t FreeId() {
    for (uint16_t id = 1;; ++id) {
      const bool used = std::any_of(messages_.begin(), messages_.end(), [&](const Message& it) {
        return it.packet_id == id && (it.state == Message::State::kSent || it.state == Message::State::kReceived);
      });
      if (!used) return id;
    }
  }

  void MoveToServer() {
    if (link_ == nullptr || to_server_.empty()) return;
    if (!link_->reading() && dice_.OneIn(2)) return;
    const size_t size = 1 + dice_.Below(std::min<size_t>(to_server_.size(), 64));
    link_->Received(std::string_view(to_server_).substr(0, size), now_ms_);
    to_server_.erase(0, size);
    if (asked_) {
      asked_ = false;
      ++authenticated_;
      link_->Authenticated(identity_, now_ms_);
    }
    Ended();
  }

  void MoveToClient() {
    if (link_ == nullptr) return;
    std::string out;
    link_->TakeOutput(&out, now_ms_);
    NoteOnTheWay(out);
    from_server_ += out;
    for (;;) {
      MqttFrame frame;
      MqttFault fault;
      MqttPacket packet;
      size_t need = 0;
      if (FindMqttFrame(from_server_, level_, kMqttMaxPacket, &frame, &need, &fault) != MqttFraming::kWhole) break;
      if (!DecodeMqtt(frame, level_, MqttSender::kServer, &packet, &fault)) return Fail(fault.Text());
      ClientReceives(packet);
      from_server_.erase(0, frame.size());
    }
    Ended();
  }

  // PUBACKs that were taken from the output count as sent, whether or not they arrive.
  void NoteOnTheWay(const std::string& out) {
    std::string_view rest = out;
    MqttFrame frame;
    MqttFault fault;
    size_t need = 0;
    while (FindMqttFrame(rest, level_, kMqttMaxPacket, &frame, &need, &fault) == MqttFraming::kWhole) {
      if (frame.type == MqttType::kPuback) {
        MqttAck ack;
        DecodeMqtt(frame, level_, &ack, &fault);
        for (Message& it : messages_) {
          if (it.packet_id == ack.packet_id && it.state == Message::State::kSent) ++acks_on_the_way_[it.number];
        }
      }
      rest.remove_prefix(frame.size());
    }
  }

  void ClientReceives(const MqttPacket& packet) {
    if (const auto* connack = std::get_if<MqttConnack>(&packet)) {
      if (connack->reason != MqttReason::kSuccess) return Fail("CONNACK refuses");
      if (connack->session_present != (authenticated_ > 1)) return Fail("the session is not there");
      connected_ = true;
      if (!subscribed_) {
        MqttSubscribe subscribe;
        subscribe.packet_id = 60'000;
        subscribe.subscriptions = {{"d/down/#", 1}};
        EncodeMqtt(subscribe, level_, &to_server_);
      }
    } else if (std::holds_alternative<MqttSuback>(packet)) {
      subscribed_ = true;
    } else if (const auto* ack = std::get_if<MqttAck>(&packet)) {
      ClientReceivesAck(*ack);
    } else if (const auto* publish = std::get_if<MqttPublish>(&packet)) {
      const int number = std::stoi(std::string(publish->payload));
      if (!seen_here_.insert(number).second) return Fail(StrCat("delivered twice in one connection: ", number));
      if (number > received_) return Fail(StrCat("delivery ", number, " before ", received_));
      if (number < received_ && !publish->dup) return Fail(StrCat("delivery ", number, " again without DUP"));
      received_ = std::max(received_, number + 1);
      owed_.push_back(publish->packet_id);
      if (level_ == MqttLevel::k5 && owed_.size() > 4) return Fail("the client's receive maximum is exceeded");
    } else if (const auto* disconnect = std::get_if<MqttDisconnect>(&packet)) {
      if (disconnect->reason != MqttReason::kImplementationSpecificError) Fail(Describe(packet));
    }
  }

  void ClientReceivesAck(const MqttAck& ack) {
    using State = Message::State;
    // A PUBREL that is sent again may find nothing any more: no error while recovering (5.0, table 3-8).
    const bool recovering = ack.type == MqttType::kPubcomp && ack.reason == MqttReason::kPacketIdentifierNotFound;
    if (IsFailure(ack.reason) && !recovering) return Fail("refused");
    for (Message& it : messages_) {
      if (it.packet_id != ack.packet_id || (it.state != State::kSent && it.state != State::kReceived)) continue;
      if (ack.type == MqttType::kPubcomp && it.state == State::kReceived) {
        it.state = State::kDone;
        if (in_flight_ > 0) --in_flight_;
        return;
      }
      if (it.state != State::kSent || (ack.type == MqttType::kPuback) != (it.qos == 1)) return Fail("an odd acknowledgement");
      if (!it.safe) return Fail(StrCat("acknowledged and not safe: ", it.number));
      if (order_.empty() || order_.front() != it.number) return Fail(StrCat("acknowledged out of order: ", it.number));
      order_.pop_front();
      if (it.qos == 1) {
        it.state = State::kDone;
        if (in_flight_ > 0) --in_flight_;
      } else {
        it.state = State::kReceived;
        it.sent_here = false;   // PUBREL is to be sent
      }
      return;
    }
    Fail(StrCat("acknowledges nothing: ", ack.packet_id));
  }

  void ClientAcknowledges() {
    if (link_ == nullptr || owed_.empty()) return;
    MqttAck ack;
    ack.packet_id = owed_.front();
    owed_.pop_front();
    EncodeMqtt(ack, level_, &to_server_);
  }

  void BecomeSafe() {
    for (size_t group = dice_.Below(4) + 1; group > 0 && !tokens_.empty(); --group) {
      const size_t at = dice_.Below(tokens_.size());
      const auto [token, number] = tokens_[at];
      tokens_.erase(tokens_.begin() + static_cast<std::ptrdiff_t>(at));
      messages_[static_cast<size_t>(number)].safe = true;
      sessions_->Safe(token, now_ms_);
    }
  }

  // Some of what was taken cannot become safe.
  void HostLoses() {
    if (tokens_.empty()) return;
    const size_t at = dice_.Below(tokens_.size());
    const auto [token, number] = tokens_[at];
    tokens_.erase(tokens_.begin() + static_cast<std::ptrdiff_t>(at));
    ++lost_[number];
    sessions_->Lost(token, now_ms_);
    Ended();
  }

  void Deliver() {
    if (!subscribed_ || published_ >= 60) return;
    const std::string payload = std::to_string(published_++);
    const MqttDelivered delivered = sessions_->Deliver("d", {.topic = "d/down/x", .payload = payload}, now_ms_);
    if (delivered.sent + delivered.queued != 1) Fail("not delivered");
  }

  void Ended() {
    if (link_ == nullptr || !link_->closing()) return;
    if (link_->status().closed_reason != MqttReason::kImplementationSpecificError) Fail(link_->status().closed_why);
    Lose();
  }

  Dice dice_;
  const MqttLevel level_;
  SeededRandom random_;
  std::unique_ptr<MqttSessions> sessions_;
  std::shared_ptr<MqttIdentity> identity_;
  std::unique_ptr<MqttConnection> link_;
  std::string to_server_, from_server_;
  std::vector<Message> messages_;
  std::vector<std::pair<uint64_t, int>> tokens_;
  std::map<int, int> lost_, acks_on_the_way_;
  std::deque<int> order_;          // publishes of this connection, not acknowledged
  std::deque<uint16_t> owed_;      // PUBACKs that the client owes
  std::set<int> seen_here_;
  uint64_t connections_ = 0;
  int authenticated_ = 0, published_ = 0, received_ = 0, newest_ = -1;
  size_t in_flight_ = 0;
  int64_t now_ms_ = 0;
  bool asked_ = false, connected_ = false, subscribed_ = false, calm_ = false, failed_ = false;
  std::string failure_;
};

void RunSeeds(MqttLevel level) {
  const char* given = std::getenv("SLUICE_SEED");
  const uint64_t first = given != nullptr ? std::stoull(given) : 1, count = given != nullptr ? 1 : 4000;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    World world(seed, level);
    world.Run();
    ASSERT_EQ(world.failure(), "") << "SLUICE_SEED=" << seed;
  }
}

TEST(MqttSimulationTest, NothingIsLostDoubledOrOutOfOrderAt5) { RunSeeds(MqttLevel::k5); }
TEST(MqttSimulationTest, NothingIsLostDoubledOrOutOfOrderAt311) { RunSeeds(MqttLevel::k311); }

}  // namespace
}  // namespace sluice::transport
