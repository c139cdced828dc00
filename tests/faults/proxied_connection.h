// One client, its connection to the target, and the bytes between them. Used by TcpProxy alone, on its thread.
#pragma once

#include <array>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/faults/byte_queue.h"
#include "tests/faults/tcp_proxy.h"

namespace sluice::faults {

enum class Flow { kNormal, kStall, kHalfOpen };

// What all connections of a proxy share.
struct ProxyState {
  Flow flow = Flow::kNormal;
  int64_t delay_us = 0;
  size_t max_queued_bytes = 0;
  bool cut_armed = false;
  uint64_t cut_left = 0;   // bytes until the cut
  Direction cut_direction = Direction::kBoth;
  ProxyFigures figures;
};

class ProxiedConnection : public std::enable_shared_from_this<ProxiedConnection> {
 public:
  using Ended = std::function<void(ProxiedConnection*)>;

  // `state` outlives the connection. `ended` is called once, when both sides are closed.
  ProxiedConnection(asio::ip::tcp::socket client, ProxyState& state, Ended ended);

  void Connect(const std::vector<asio::ip::tcp::endpoint>& targets);
  // The shared state's flow has changed.
  void FlowChanged();
  // RST to both sides. `ended` is called from within.
  void Reset();

 private:
  // One direction.
  struct Pipe {
    Pipe(asio::ip::tcp::socket& from_socket, asio::ip::tcp::socket& to_socket, Direction way)
        : from(from_socket), to(to_socket), direction(way), timer(from_socket.get_executor()) {}
    asio::ip::tcp::socket& from;
    asio::ip::tcp::socket& to;
    const Direction direction;
    asio::steady_timer timer;
    std::array<char, 64 << 10> buffer;
    ByteQueue queue;
    std::string out;           // taken from the queue, being written
    size_t out_at = 0;
    bool reading = false, writing = false, waiting = false;
    bool from_ended = false;   // its FIN came, due to leave at fin_due_us
    int64_t fin_due_us = 0;
    bool fin_sent = false;
    bool cut = false;          // reset both sides once everything is out
    bool lost = false;         // bytes or the FIN were swallowed
  };

  void Pump(Pipe& pipe);
  void Read(Pipe& pipe);
  void Took(Pipe& pipe, size_t size);
  void Write(Pipe& pipe);
  void Swallow(Pipe& pipe);
  void FinishCut(Pipe& pipe);
  void WakeAt(Pipe& pipe, int64_t due_us);
  void EndIfDone();

  asio::ip::tcp::socket client_;
  asio::ip::tcp::socket target_;
  ProxyState& state_;
  Ended ended_;
  bool connected_ = false;
  bool closed_ = false;
  int cut_waits_ = 0;
  Pipe up_;
  Pipe down_;
};

}  // namespace sluice::faults
