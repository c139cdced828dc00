// A bad network with the cloud's ends of the streams behind it, in virtual time.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cloud/ingest/receiver.h"
#include "tests/sync/model_store.h"
#include "tests/sync/timeline.h"

namespace sluice::sync {

// One stream. Each direction keeps its order; what is under way when it breaks is lost from some frame on.
struct Connection {
  // The gateway's end; called until the second one was.
  std::function<void(const v1::ServerFrame&)> on_frame;
  std::function<void(absl::Status)> on_end;

  std::unique_ptr<ingest::Receiver> receiver;
  std::deque<v1::ClientFrame> inbox;
  int64_t last_to_server = 0;
  int64_t last_to_client = 0;
  bool serving = false;        // the cloud works on frames
  bool client_gone = false;
  bool server_gone = false;    // closed by the cloud, or the cloud noticed the end
};

struct WireOptions {
  ingest::ReceiverOptions receiver;
  double loss = 0;             // of a frame, and with it of the connection
  int64_t latency_us = 0;
  int64_t trouble_ends_us = 0;
  int64_t never_us = 0;        // beyond the end of the world
};

class SimulatedWire {
 public:
  SimulatedWire(WireOptions options, Timeline& time, Random& random, ModelStore& store)
      : options_(std::move(options)), time_(time), dice_(random), store_(store) {}

  // The caller sets what is called.
  std::shared_ptr<Connection> Connect(ingest::Peer peer);
  void Send(const std::shared_ptr<Connection>& connection, v1::ClientFrame frame);
  // Frames that are under way may still arrive, and both ends learn of it in their own time. At times later frames get
  // through behind a lost one, which no TCP does: it shows that a Refusal mends that too.
  void Break(const std::shared_ptr<Connection>& connection);
  // The gateway has hung up; the cloud learns of it late. `clean`: it half-closed, and that arrives.
  void HangUp(const std::shared_ptr<Connection>& connection, bool clean);
  // Every stream ends, and nobody has time to release a lease.
  void CrashCloud();

  const std::string& fault() const { return fault_; }   // a frame that the cloud calls malformed
  uint64_t refusals() const { return refusals_; }

 private:
  void Serve(const std::shared_ptr<Connection>& connection);
  void EndClient(const std::shared_ptr<Connection>& connection, absl::Status status, int64_t after_us);
  void EndServer(const std::shared_ptr<Connection>& connection, bool clean);
  bool Troubled() const { return time_.now() < options_.trouble_ends_us; }

  const WireOptions options_;
  Timeline& time_;
  Dice dice_;
  ModelStore& store_;
  std::vector<std::weak_ptr<Connection>> connections_;
  std::string fault_;
  uint64_t refusals_ = 0;
};

}  // namespace sluice::sync
