#include "tests/sync/simulated_wire.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice::sync {
namespace {

constexpr int64_t kSecond = 1'000'000;

}  // namespace

std::shared_ptr<Connection> SimulatedWire::Connect(ingest::Peer peer) {
  auto connection = std::make_shared<Connection>();
  connection->receiver = std::make_unique<ingest::Receiver>(options_.receiver, std::move(peer), store_, time_.clock());
  connections_.push_back(connection);
  return connection;
}

void SimulatedWire::Send(const std::shared_ptr<Connection>& connection, v1::ClientFrame frame) {
  if (Troubled() && dice_.Chance(options_.loss)) return Break(connection);
  connection->last_to_server = std::max(connection->last_to_server, time_.now() + dice_.Upto(options_.latency_us));
  // No transport of ours does it, but a batch that comes twice has to be harmless.
  const int copies = frame.has_batch() && dice_.Chance(options_.loss) ? 2 : 1;
  time_.At(connection->last_to_server, [this, connection, copies, frame = std::move(frame)] {
    if (connection->server_gone) return;
    for (int i = 0; i < copies; ++i) connection->inbox.push_back(frame);
    Serve(connection);
  });
}

void SimulatedWire::Break(const std::shared_ptr<Connection>& connection) {
  EndClient(connection, absl::UnavailableError("connection reset"), dice_.Upto(3 * kSecond));
  time_.After(dice_.Upto(8 * kSecond), [this, connection] { EndServer(connection, dice_.Chance(0.1)); });
  connection->last_to_client = options_.never_us;
  if (dice_.Chance(0.5)) connection->last_to_server = options_.never_us;
}

void SimulatedWire::HangUp(const std::shared_ptr<Connection>& connection, bool clean) {
  connection->client_gone = true;
  // The cancel reaches the cloud late, or not at all before its keepalive.
  time_.After(clean ? 0 : dice_.Upto(10 * kSecond), [this, connection, clean] { EndServer(connection, clean); });
}

void SimulatedWire::CrashCloud() {
  for (const auto& held : connections_) {
    const std::shared_ptr<Connection> connection = held.lock();
    if (connection == nullptr || connection->server_gone) continue;
    connection->server_gone = true;
    connection->inbox.clear();
    EndClient(connection, absl::UnavailableError("connection reset"), dice_.Upto(2 * kSecond));
  }
  std::erase_if(connections_, [](const auto& held) { return held.expired(); });
}

void SimulatedWire::EndClient(const std::shared_ptr<Connection>& connection, absl::Status status, int64_t after_us) {
  time_.After(after_us, [connection, status = std::move(status)] {
    if (!connection->client_gone) connection->on_end(status);
  });
}

void SimulatedWire::EndServer(const std::shared_ptr<Connection>& connection, bool clean) {
  if (std::exchange(connection->server_gone, true)) return;
  connection->receiver->OnEnd(clean);
}

void SimulatedWire::Serve(const std::shared_ptr<Connection>& connection) {
  if (connection->serving) return;
  connection->serving = true;
  time_.After(dice_.Upto(20'000), [this, connection] {
    connection->serving = false;
    if (connection->server_gone || connection->inbox.empty()) return;
    std::vector<v1::ClientFrame> frames(std::make_move_iterator(connection->inbox.begin()),
                                        std::make_move_iterator(connection->inbox.end()));
    connection->inbox.clear();
    ingest::Reply reply = connection->receiver->OnFrames(std::move(frames));
    for (v1::ServerFrame& frame : reply.frames) {
      // Cut between commit and acknowledgement.
      if (Troubled() && dice_.Chance(options_.loss)) Break(connection);
      connection->last_to_client = std::max(connection->last_to_client, time_.now() + dice_.Upto(options_.latency_us));
      time_.At(connection->last_to_client, [connection, frame = std::move(frame)] {
        if (!connection->client_gone) connection->on_frame(frame);
      });
    }
    if (reply.close) {
      if (reply.close->code() == absl::StatusCode::kInvalidArgument) fault_ = "malformed: " + reply.close->ToString();
      connection->server_gone = true;
      connection->receiver->OnEnd(false);
      time_.At(connection->last_to_client, [connection, status = *reply.close] {
        if (!connection->client_gone) connection->on_end(status);
      });
    }
    refusals_ += connection->receiver->figures().refusals > 0 ? 1 : 0;
  });
}

}  // namespace sluice::sync
