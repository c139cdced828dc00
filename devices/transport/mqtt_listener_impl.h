// The listener's inside: what its .cc files share. One thread, the loop's, has everything that is not said to be another's.
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "devices/transport/byte_stream.h"
#include "devices/transport/mqtt_authenticator.h"
#include "devices/transport/mqtt_listener.h"

namespace sluice::transport {

struct ListenerConnection {
  enum class Phase {
    kHandshake,   // TLS
    kConnect,     // a whole CONNECT is awaited
    kVerify,      // who it is
    kServing,
    kLinger,      // everything is said; the client may read it
  };

  ListenerConnection(asio::io_context& context, uint64_t connection_id, std::string from)
      : id(connection_id), address(std::move(from)), socket(context) {}

  const uint64_t id;
  const std::string address;   // as the gate groups them
  asio::ip::tcp::socket socket;
  std::unique_ptr<ByteStream> stream;
  std::unique_ptr<MqttConnection> mqtt;
  Phase phase = Phase::kHandshake;
  bool half_open = true;
  bool awaits_read = false, awaits_write = false;
  bool dirty = false;   // in MqttListenerImpl::dirty_
  bool gone = false;
  std::string certificate_device;
  std::string out;              // taken from mqtt
  size_t written = 0;           // of it
  int64_t stuck_since_ms = 0;   // since when the client reads nothing of it; 0: it does
};

class MqttListenerImpl final : public MqttListener, public MqttHost {
 public:
  MqttListenerImpl(MqttListenerOptions options, MqttListenerHandler& handler, const Clock& clock, Random& random);
  ~MqttListenerImpl() override;

  absl::Status Start() override;
  void Stop() override;
  std::shared_ptr<MqttAnswers> answers() const override { return answers_; }
  void Deliver(std::string device, std::string topic, std::string payload) override {
    answers_->Deliver({std::move(device), std::move(topic), std::move(payload)});
  }
  MqttListenerStatus status(bool with_connections) const override;
  uint16_t port() const override { return port_.load(); }

 private:
  // Many publishes where the handler is quick. Where it is not, one.
  static constexpr int64_t kTurnUs = 10'000;

  using Connection = ListenerConnection;
  using Phase = Connection::Phase;
  using Handle = std::shared_ptr<Connection>;

  // MqttHost: from inside the sessions, which must not be called back.
  void Authenticate(MqttConnection& connection, const MqttCredentials& credentials) override;
  MqttVerdict Publish(uint64_t token, const MqttPublication& publication) override;
  bool TurnIsOver() const override { return turn_us_ >= kTurnUs; }
  void NotTaken(const MqttPublication& publication, MqttReason reason, std::string_view why) override {
    handler_.NotTaken(publication, reason, why);
  }
  bool StoreFull() const override { return handler_.StoreFull(); }
  void DeliveryEnded(uint64_t, const MqttIdentity&, std::string_view, MqttDeliveryEnd, MqttReason) override {}
  void Wake(MqttConnection& connection) override;

  // mqtt_listener.cc: life, files, mail, time
  absl::Status Listen();
  void ListenOrRetry();
  void LookAtCertificates();   // the authenticator's thread
  void BeginStop();
  void OnMail();
  void OnTimer();
  // Does what calls into the sessions left to be done. Every handler of the loop ends with it.
  void Settle();
  void EndTurn();
  void ArmTimer();
  MqttListenerStatus Look(bool with_connections) const;

  // mqtt_listener_admit.cc: from the port to a device that is served
  void AwaitAccept();
  void PauseAccept(int64_t ms);
  void OnAcceptable();
  void Adopt(UniqueFd fd, std::string address);
  void EvictHalfOpen();
  void OpenSession(const Handle& connection);
  void OnVerified(uint64_t id, const MqttAdmission& admission);
  void OnPasswordsChanged();
  void Admit(const Handle& connection, const MqttAdmission& admission);
  void EndHalfOpen(Connection& connection);
  // Counts it, and keeps for the operator who was turned away last.
  void NoteRefused(uint64_t& counter, const std::string& address, std::string_view why);

  // mqtt_listener_io.cc: bytes
  void GoOnWithHandshake(const Handle& connection);
  void ReadSome(const Handle& connection);
  void AwaitRead(const Handle& connection);
  void AwaitWrite(const Handle& connection);
  void Flush(const Handle& connection);
  void Linger(const Handle& connection);
  void DiscardInput(const Handle& connection);
  void Close(const Handle& connection, std::string_view why);

  Handle Find(uint64_t id) const {
    const auto found = connections_.find(id);
    return found == connections_.end() ? nullptr : found->second;
  }
  std::vector<Handle> All() const;
  int64_t NowMs() const { return clock_.MonotonicUs() / 1000; }

  const MqttListenerOptions options_;
  MqttListenerHandler& handler_;
  const Clock& clock_;

  mutable asio::io_context context_;   // posting is thread-safe
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer accept_timer_;   // to listen or to accept again; while stopping: the end of patience
  asio::steady_timer timer_;
  const std::shared_ptr<MqttAnswers> answers_;   // thread-safe
  ReadBuffers buffers_;
  ConnectionGate gate_;
  const std::unique_ptr<MqttSessions> sessions_;   // outlives its connections
  MqttAuthenticator authenticator_;
  std::unordered_map<uint64_t, Handle> connections_;
  uint64_t next_id_ = 1;
  std::vector<Handle> dirty_;                                              // to be flushed
  std::vector<std::pair<uint64_t, MqttAdmission>> admissions_;             // to be told to the sessions
  // When these come to their end at the latest; ascending, for each kind has the same time.
  std::deque<std::pair<int64_t, std::weak_ptr<Connection>>> handshakes_, lingering_;
  std::vector<std::weak_ptr<Connection>> stuck_;
  int64_t timer_at_ms_ = INT64_MAX;
  int64_t turn_us_ = 0;       // what the handler took of this turn
  bool next_turn_ = false;    // is on its way
  bool awaits_accept_ = false, accept_paused_ = false, stopping_ = false;
  MqttAnswers::Mail mail_;
  MqttRefusals refusals_;
  std::string last_refused_;
  uint64_t accepted_ = 0, scrypts_ = 0, remembered_ = 0;
  MqttListenerStatus::State state_ = MqttListenerStatus::State::kClosed;
  std::string detail_;
  std::function<void()> on_empty_;   // set while stopping: the last connection is gone

  std::atomic<uint16_t> port_{0};
  mutable std::mutex files_mutex_;
  // Guarded by files_mutex_.
  std::shared_ptr<TlsServer> tls_;   // null: plain, or not loaded yet
  std::string files_trouble_;

  mutable std::mutex life_mutex_;
  // Guarded by life_mutex_, which the loop never takes: it may be held while the loop is waited for.
  bool running_ = false;
  MqttListenerStatus last_;
  std::thread thread_;
};

}  // namespace sluice::transport
