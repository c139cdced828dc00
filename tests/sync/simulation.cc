#include "tests/sync/simulation.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/strings.h"
#include "cloud/ingest/receiver.h"
#include "sync/retry_policy.h"
#include "sync/sender.h"
#include "tests/sync/model_outbox.h"
#include "tests/sync/model_store.h"

namespace sluice::sync {
namespace {

constexpr Queue kQueue = Queue::kInventory;
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kTroubleEndsUs = 40 * kSecond;
constexpr int64_t kGiveUpUs = 1200 * kSecond;

struct Produced {
  EpochId epoch;
  uint64_t number = 0;
  std::string payload;
  bool safe = false;      // synced, or acknowledged, at some time: a device may have been answered
  bool torn_off = false;  // a crash took it from the edge; the cloud may have it
};

// One stream. Each direction keeps its order; what is under way when it breaks is lost from some frame on.
struct Connection {
  std::unique_ptr<ingest::Receiver> receiver;
  std::deque<v1::ClientFrame> inbox;
  int64_t last_to_server = 0;
  int64_t last_to_client = 0;
  bool serving = false;        // the server works on frames
  bool client_knows_end = false;
  bool server_gone = false;    // closed by the server, or the server noticed the end
};

class World : private Observer {
 public:
  explicit World(uint64_t seed) : random_(seed), store_(random_), outbox_("g1", "s1", random_) {
    sender_options_.pacing.max_batch_items = 1 + random_.Below(20);
    sender_options_.pacing.max_batch_bytes = 200 + random_.Below(4000);
    sender_options_.pacing.max_in_flight_items = 1 + random_.Below(200);
    sender_options_.renew_us = (1 + static_cast<int64_t>(random_.Below(100))) * kSecond;
    receiver_options_.queues = {kQueue};
    receiver_options_.credit_items = random_.Below(100);
    receiver_options_.credit_bytes = random_.Below(20'000);
    receiver_options_.apply_max_items = 1 + random_.Below(50);
    receiver_options_.store_retry_ms = 100 + static_cast<int64_t>(random_.Below(1000));
    receiver_options_.lease_retry_ms = 100 + static_cast<int64_t>(random_.Below(1000));
    loss_ = random_.Below(4) == 0 ? 0 : random_.Unit() * 0.05;
    latency_us_ = 100 + static_cast<int64_t>(random_.Below(200'000));
    window_ = random_.Below(60);
    may_restore_ = random_.Below(3) == 0;
    StartSender();
  }

  SimulationResult Run() {
    At(0, [this] { Produce(); });
    At(0, [this] { SyncJournal(); });
    At(0, [this] { MakeTrouble(); });
    // One Welcome after the last trouble: the cloud may have been restored behind a stream that is still open here.
    At(kTroubleEndsUs + 10 * kSecond, [this] {
      last_stream_ = sender_->figures().welcomes;
      if (connection_ != nullptr) Break(connection_);
    });
    Poke();
    while (!events_.empty() && result_.fault.empty()) {
      Event event = std::move(const_cast<Event&>(events_.top()));
      events_.pop();
      if (event.at_us > kGiveUpUs) break;
      clock_.AdvanceUs(event.at_us - clock_.MonotonicUs());
      event.run();
      if (last_stream_ && sender_->figures().welcomes > *last_stream_ && outbox_.Drained(kQueue)) break;
    }
    result_.virtual_ms = static_cast<uint64_t>(clock_.MonotonicUs() / 1000);
    if (result_.fault.empty()) Judge();
    return result_;
  }

 private:
  struct Event {
    int64_t at_us;
    uint64_t order;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return at_us != other.at_us ? at_us > other.at_us : order > other.order;
    }
  };

  int64_t now() const { return clock_.MonotonicUs(); }
  void At(int64_t at_us, std::function<void()> run) { events_.push({std::max(at_us, now()), ++order_, std::move(run)}); }
  void After(int64_t us, std::function<void()> run) { At(now() + us, std::move(run)); }
  bool Chance(double probability) { return random_.Unit() < probability; }
  int64_t Upto(int64_t us) { return static_cast<int64_t>(random_.Below(static_cast<uint64_t>(us) + 1)); }
  bool Troubled() const { return now() < kTroubleEndsUs; }

  // --- the world's doings

  void Produce() {
    if (!Troubled()) return;
    const uint64_t burst = 1 + random_.Below(6);
    for (uint64_t i = 0; i < burst; ++i) {
      EventId id;
      random_.Fill(id.bytes);
      std::string payload = std::string(id.View()) + std::string(random_.Below(60), 'p');
      const uint64_t number = outbox_.Append(kQueue, payload);
      produced_.push_back({.epoch = outbox_.running().id, .number = number, .payload = std::move(payload)});
    }
    sender_->ItemsAvailable();
    Poke();
    After(Upto(kSecond), [this] { Produce(); });
  }

  void SyncJournal() {
    MarkSafe();
    outbox_.SyncAll();
    for (Produced& one : produced_) one.safe |= !one.torn_off;
    outbox_.Trim(kQueue, window_);
    After(1 + Upto(5 * kSecond), [this] { SyncJournal(); });
  }

  void MarkSafe() {
    for (Produced& one : produced_) {
      if (!one.torn_off && !one.safe) one.safe = outbox_.EverAcknowledged(kQueue, one.epoch, one.number);
    }
  }

  void MakeTrouble() {
    if (!Troubled()) return;
    switch (random_.Below(may_restore_ ? 9 : 7)) {
      case 0:
      case 1:
        if (connection_ != nullptr) Break(connection_);
        break;
      case 2:
        CrashEdge();
        break;
      case 3:
        CrashCloud();
        break;
      case 4:
        store_.FailNext(1 + static_cast<int>(random_.Below(3)));
        ++result_.store_failures;
        break;
      case 5:
        link_down_until_ = now() + Upto(5 * kSecond);
        if (connection_ != nullptr) Break(connection_);
        break;
      case 6:
        retry_->Prompt(now());
        Poke();
        break;
      case 7:
        store_.TakeSnapshot();
        break;
      case 8:
        CrashCloud();
        store_.RestoreSnapshot();
        ++result_.cloud_restores;
        break;
    }
    After(Upto(4 * kSecond), [this] { MakeTrouble(); });
  }

  void CrashEdge() {
    MarkSafe();
    ++result_.edge_crashes;
    const uint64_t kept = outbox_.synced_to(kQueue);
    for (Produced& one : produced_) {
      if (one.epoch == outbox_.running().id && one.number > kept) one.torn_off = true;
    }
    if (connection_ != nullptr) Break(connection_);
    connection_ = nullptr;
    outbox_.Crash();
    StartSender();
    Poke();
  }

  void CrashCloud() {
    for (const auto& connection : connections_) {
      if (connection->server_gone) continue;
      connection->server_gone = true;
      connection->inbox.clear();
      EndClient(connection, absl::UnavailableError("connection reset"), Upto(2 * kSecond));
    }
  }

  // --- the edge: what the uplink does with its sender

  void StartSender() {
    sender_ = std::make_unique<Sender>(sender_options_, kQueue, outbox_, share_, static_cast<Observer*>(this));
    retry_ = std::make_unique<RetryPolicy>(
        RetryOptions{.spread_ms = 2000, .base_ms = 500, .cap_ms = 4000, .prompt_ms = 200, .slow_min_ms = 5000,
                     .slow_max_ms = 9000},
        random_);
    retry_->Prompt(now());
    writing_ = false;
  }

  void Poke() {
    if (poked_) return;
    poked_ = true;
    At(now(), [this] {
      poked_ = false;
      Pump();
    });
  }

  void Pump() {
    if (connection_ == nullptr) {
      if (now() < retry_->next_try_us()) return PumpAt(retry_->next_try_us());
      Connect();
      if (connection_ == nullptr) return PumpAt(retry_->next_try_us());
    }
    if (writing_) return;
    v1::ClientFrame frame;
    const absl::StatusOr<bool> written = sender_->Next(now(), frame);
    if (!written.ok()) return End(written.status());
    if (!*written) return PumpAt(sender_->WakeAtUs());
    // The transport takes a moment before it takes the next.
    writing_ = true;
    After(Upto(2000), [this, connection = connection_] {
      if (connection != connection_) return;
      writing_ = false;
      Poke();
    });
    Transmit(connection_, std::move(frame));
  }

  void PumpAt(int64_t at_us) {
    if (at_us == Sender::kNever) return;
    at_us = std::max(at_us, now() + 100);
    if (next_pump_us_ > now() && next_pump_us_ <= at_us) return;
    next_pump_us_ = at_us;
    At(at_us, [this, at_us] {
      if (next_pump_us_ == at_us) next_pump_us_ = 0;
      Pump();
    });
  }

  void Connect() {
    ++result_.streams;
    if (now() < link_down_until_) {
      retry_->Ended({.status = absl::UnavailableError("no route")}, Chance(0.5), now());
      return;
    }
    connection_ = std::make_shared<Connection>();
    connection_->receiver =
        std::make_unique<ingest::Receiver>(receiver_options_, ingest::Peer{.gateway = "g1", .shop = "s1"}, store_, clock_);
    connections_.push_back(connection_);
    writing_ = false;
    const absl::Status status = sender_->Connected(
        {.gateway = "g1", .shop = "s1", .hardware_id = "box", .software = "simulation"}, now());
    if (!status.ok()) End(status);
  }

  void End(absl::Status status) {
    const std::shared_ptr<Connection> connection = std::exchange(connection_, nullptr);
    connection->client_knows_end = true;
    const StreamEnd end = sender_->Disconnected(std::move(status), std::nullopt, now());
    retry_->Ended(end, false, now());
    // The cancel reaches the server late, or not at all before its keepalive.
    After(Upto(10 * kSecond), [this, connection] { EndServer(connection); });
    Poke();
  }

  // --- the network

  void Transmit(const std::shared_ptr<Connection>& connection, v1::ClientFrame frame) {
    if (Troubled() && Chance(loss_)) return Break(connection);
    connection->last_to_server = std::max(connection->last_to_server, now() + Upto(latency_us_));
    // No transport of ours does it, but a batch that comes twice has to be harmless.
    const int copies = frame.has_batch() && Chance(loss_) ? 2 : 1;
    At(connection->last_to_server, [this, connection, copies, frame = std::move(frame)] {
      if (connection->server_gone) return;
      for (int i = 0; i < copies; ++i) connection->inbox.push_back(frame);
      Serve(connection);
    });
  }

  // Frames that are under way may still arrive, and both ends learn of it in their own time. At times later frames get
  // through behind a lost one, which no TCP does: it shows that a Refusal mends that too.
  void Break(const std::shared_ptr<Connection>& connection) {
    EndClient(connection, absl::UnavailableError("connection reset"), Upto(3 * kSecond));
    After(Upto(8 * kSecond), [this, connection] { EndServer(connection); });
    connection->last_to_client = kGiveUpUs + 1;
    if (Chance(0.5)) connection->last_to_server = kGiveUpUs + 1;
  }

  void EndClient(const std::shared_ptr<Connection>& connection, absl::Status status, int64_t after_us) {
    After(after_us, [this, connection, status] {
      if (connection == connection_) End(status);
    });
  }

  void EndServer(const std::shared_ptr<Connection>& connection) {
    if (connection->server_gone) return;
    connection->server_gone = true;
    connection->receiver->OnEnd(Chance(0.1));
  }

  // --- the cloud

  void Serve(const std::shared_ptr<Connection>& connection) {
    if (connection->serving) return;
    connection->serving = true;
    After(Upto(20'000), [this, connection] {
      connection->serving = false;
      if (connection->server_gone || connection->inbox.empty()) return;
      std::vector<v1::ClientFrame> frames(std::make_move_iterator(connection->inbox.begin()),
                                          std::make_move_iterator(connection->inbox.end()));
      connection->inbox.clear();
      ingest::Reply reply = connection->receiver->OnFrames(std::move(frames));
      for (v1::ServerFrame& frame : reply.frames) {
        // Cut between commit and acknowledgement.
        if (Troubled() && Chance(loss_)) Break(connection);
        connection->last_to_client = std::max(connection->last_to_client, now() + Upto(latency_us_));
        At(connection->last_to_client, [this, connection, frame = std::move(frame)] { Deliver(connection, frame); });
      }
      if (reply.close) {
        const absl::Status status = *reply.close;
        if (status.code() == absl::StatusCode::kInvalidArgument) result_.fault = "malformed: " + status.ToString();
        connection->server_gone = true;
        connection->receiver->OnEnd(false);
        At(connection->last_to_client, [this, connection, status] {
          if (connection == connection_) End(status);
        });
      }
      result_.refusals += connection->receiver->figures().refusals > 0 ? 1 : 0;
    });
  }

  void Deliver(const std::shared_ptr<Connection>& connection, const v1::ServerFrame& frame) {
    if (connection != connection_) return;
    const absl::Status status = sender_->OnFrame(frame, now());
    if (!status.ok()) return End(status);
    Poke();
  }

  void OnAlarm(Queue, Alarm alarm, const std::string& text) override {
    result_.fault = StrCat("alarm ", AlarmName(alarm), ": ", text);
  }
  void OnDeadLetter(Queue, const EpochId&, uint64_t, const std::string&) override {}

  // --- the promise

  void Judge() {
    MarkSafe();
    if (!outbox_.Drained(kQueue)) {
      result_.fault = "not drained";
      return;
    }
    std::map<std::pair<EpochId, uint64_t>, const Produced*> by_key;
    std::map<EpochId, size_t> epoch_order;
    for (const Produced& one : produced_) {
      by_key[{one.epoch, one.number}] = &one;
      epoch_order.emplace(one.epoch, epoch_order.size());
    }
    std::set<const Produced*> seen;
    std::pair<size_t, uint64_t> last{0, 0};
    for (const Effect& effect : store_.effects()) {
      const auto it = by_key.find({effect.epoch, effect.number});
      if (it == by_key.end()) return Fail("an effect that nobody produced", effect.number);
      if (it->second->payload != effect.payload) return Fail("another payload", effect.number);
      if (!seen.insert(it->second).second) return Fail("a second effect", effect.number);
      const std::pair<size_t, uint64_t> place{epoch_order.at(effect.epoch), effect.number};
      if (seen.size() > 1 && place <= last) return Fail("out of order", effect.number);
      last = place;
    }
    for (const DeclaredLoss& loss : store_.losses()) {
      if (result_.cloud_restores == 0) return Fail("a declared loss without a restore", loss.first);
      if (loss.reason != GapReason::kBeyondReplayWindow) return Fail("a loss with a wrong reason", loss.first);
      for (uint64_t number = loss.first; number <= loss.last; ++number) {
        const auto it = by_key.find({loss.epoch, number});
        if (it == by_key.end()) return Fail("a declared loss of nothing", number);
        if (!seen.insert(it->second).second) return Fail("lost and found", number);
        ++result_.lost_named;
      }
    }
    for (const Produced& one : produced_) {
      if (!one.safe || seen.contains(&one)) continue;
      // The cloud alone had it and lost it: the third stated limit of the promise.
      if (one.torn_off && result_.cloud_restores > 0) continue;
      return Fail("missing", one.number);
    }
    result_.produced = produced_.size();
    result_.effects = store_.effects().size();
  }

  void Fail(std::string_view what, uint64_t number) { result_.fault = StrCat(what, ", number ", number); }

  ManualClock clock_;
  SeededRandom random_;
  ModelStore store_;
  ModelOutbox outbox_;
  LinkShare share_;
  SenderOptions sender_options_;
  ingest::ReceiverOptions receiver_options_;
  double loss_ = 0;
  int64_t latency_us_ = 0;
  size_t window_ = 0;
  bool may_restore_ = false;

  std::priority_queue<Event> events_;
  uint64_t order_ = 0;
  std::unique_ptr<Sender> sender_;
  std::unique_ptr<RetryPolicy> retry_;
  std::shared_ptr<Connection> connection_;   // as the client sees it
  std::vector<std::shared_ptr<Connection>> connections_;
  bool writing_ = false;
  bool poked_ = false;
  int64_t next_pump_us_ = 0;
  int64_t link_down_until_ = 0;
  std::optional<uint64_t> last_stream_;      // Welcomes seen when the world came to rest
  std::vector<Produced> produced_;
  SimulationResult result_;
};

}  // namespace

SimulationResult Simulate(uint64_t seed) { return World(seed).Run(); }

}  // namespace sluice::sync
