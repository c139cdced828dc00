// A TCP proxy that makes a network bad on demand: see README.md for the fault shapes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace sluice::faults {

struct ProxyOptions {
  std::string listen = "127.0.0.1:0";             // numeric address and port; 0: a free one
  std::string to;                                 // host:port
  int64_t delay_ms = 0;                           // one way, both directions: a round trip takes twice that
  size_t max_queued_bytes = 64u << 20;            // of one direction of one connection; then the sender waits
};

// Which way bytes go.
enum class Direction { kUp /* client to target */, kDown, kBoth };

struct ProxyFigures {
  uint64_t accepted = 0;        // connections since start
  uint64_t open = 0;
  uint64_t up_bytes = 0;        // read from clients
  uint64_t down_bytes = 0;      // read from targets
  uint64_t swallowed_bytes = 0; // read and thrown away by HalfOpen
  uint64_t cuts = 0;            // connections that CutAfter ended
};

// Runs on a thread of its own. All methods are thread-safe and return when the fault is in effect.
class TcpProxy {
 public:
  // Listens when this returns.
  static absl::StatusOr<std::unique_ptr<TcpProxy>> Start(const ProxyOptions& options);
  virtual ~TcpProxy() = default;   // resets what is open and stops

  // Stays the same for the life of the proxy, also through Refuse.
  virtual uint16_t port() const = 0;
  virtual ProxyFigures figures() const = 0;

  // New connections get "connection refused"; open ones go on.
  virtual absl::Status Refuse() = 0;
  // RST to both sides of every open connection; new ones are fine.
  virtual void ResetAll() = 0;
  // Nothing is read or written any more, on open and new connections; the kernels' buffers fill, then senders block.
  virtual void Stall() = 0;
  // Everything is read and thrown away, the end of a side too: each side believes the other is there and silent. Open
  // and new connections.
  virtual void HalfOpen() = 0;
  // After `bytes` more in that direction, counted over all connections, the connection that carries the last of them is
  // reset on both sides; exactly `bytes` are delivered. Once.
  virtual void CutAfter(uint64_t bytes, Direction direction) = 0;
  // From now on; what is queued keeps its time.
  virtual void SetDelay(int64_t delay_ms) = 0;
  // Ends Refuse, Stall, HalfOpen and a CutAfter that has not happened. A connection that lost bytes to HalfOpen is reset:
  // its two sides do not agree any more.
  virtual absl::Status Resume() = 0;
};

}  // namespace sluice::faults
