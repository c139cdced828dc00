// Bytes between sockets and sessions. Nothing here waits: what cannot be done now is done when the socket is ready.
#include <sys/socket.h>

#include <cerrno>

#include "base/status.h"
#include "devices/transport/mqtt_listener_impl.h"

namespace sluice::transport {
namespace {

using asio::ip::tcp;
using Io = ByteStream::State;

constexpr int64_t kLingerMs = 1000;

}  // namespace

void MqttListenerImpl::GoOnWithHandshake(const Handle& connection) {
  switch (connection->stream->Handshake()) {
    case Io::kOk: return OpenSession(connection);
    case Io::kWantRead: return AwaitRead(connection);
    case Io::kWantWrite: return AwaitWrite(connection);
    case Io::kEnd:
    case Io::kError: break;
  }
  NoteRefused(refusals_.handshake_failed, connection->address, connection->stream->error());
  Close(connection, connection->stream->error());
}

void MqttListenerImpl::ReadSome(const Handle& connection) {
  std::string_view bytes;
  const Io state = connection->stream->Read(&bytes);
  if (!bytes.empty()) connection->mqtt->Received(bytes, NowMs());
  switch (state) {
    case Io::kOk:
    case Io::kWantRead: return AwaitRead(connection);
    case Io::kWantWrite: return AwaitWrite(connection);
    case Io::kEnd: return Close(connection, "the client closed the connection");
    case Io::kError: return Close(connection, connection->stream->error());
  }
}

void MqttListenerImpl::AwaitRead(const Handle& connection) {
  if (connection->gone || connection->awaits_read) return;
  const bool serves = connection->phase != Phase::kHandshake && connection->phase != Phase::kLinger;
  if (serves && (!connection->mqtt->reading() || connection->mqtt->closing())) return;   // Wake comes when that changes
  connection->awaits_read = true;
  connection->socket.async_wait(tcp::socket::wait_read, [this, connection](std::error_code error) {
    connection->awaits_read = false;
    if (error || connection->gone) return;
    if (connection->phase == Phase::kHandshake) {
      GoOnWithHandshake(connection);
    } else if (connection->phase == Phase::kLinger) {
      DiscardInput(connection);
    } else if (connection->mqtt->reading()) {
      ReadSome(connection);
    }
    Settle();
  });
}

void MqttListenerImpl::AwaitWrite(const Handle& connection) {
  if (connection->gone || connection->awaits_write) return;
  connection->awaits_write = true;
  connection->socket.async_wait(tcp::socket::wait_write, [this, connection](std::error_code error) {
    connection->awaits_write = false;
    if (error || connection->gone) return;
    if (connection->phase == Phase::kHandshake) {
      GoOnWithHandshake(connection);
    } else if (connection->mqtt != nullptr) {
      Flush(connection);
    }
    Settle();
  });
}

void MqttListenerImpl::Wake(MqttConnection& mqtt) {
  const Handle connection = Find(mqtt.id());
  if (connection == nullptr || connection->dirty) return;
  connection->dirty = true;
  dirty_.push_back(connection);
}

// One write for all that came together. A client that does not read gets nothing more until it does: what is due to it stays
// within the session's bounds.
void MqttListenerImpl::Flush(const Handle& connection) {
  if (connection->gone || connection->mqtt == nullptr || connection->awaits_write) return;
  for (;;) {
    if (connection->written == connection->out.size()) {
      if (!connection->mqtt->has_output()) break;
      connection->mqtt->TakeOutput(&connection->out, NowMs());
      connection->written = 0;
      continue;
    }
    size_t written = 0;
    const Io state = connection->stream->Write(std::string_view(connection->out).substr(connection->written), &written);
    if (state == Io::kOk) {
      connection->written += written;
      connection->stuck_since_ms = 0;
    } else if (state == Io::kWantWrite || state == Io::kWantRead) {
      if (connection->stuck_since_ms == 0) {
        connection->stuck_since_ms = NowMs();
        stuck_.push_back(connection);
      }
      return AwaitWrite(connection);
    } else {
      return Close(connection, connection->stream->error());
    }
  }
  if (connection->mqtt->closing()) return Linger(connection);
  if (connection->out.capacity() > 1024) std::string().swap(connection->out);   // a silent connection holds no buffer
  connection->out.clear();
  connection->written = 0;
  AwaitRead(connection);
}

// Closing at once with input unread would be a reset, and the client might never read why.
void MqttListenerImpl::Linger(const Handle& connection) {
  connection->stream->SayGoodbye();
  shutdown(connection->socket.native_handle(), SHUT_WR);
  connection->mqtt.reset();
  connection->phase = Phase::kLinger;
  lingering_.emplace_back(NowMs() + kLingerMs, connection);
  DiscardInput(connection);
}

void MqttListenerImpl::DiscardInput(const Handle& connection) {
  const ssize_t got = recv(connection->socket.native_handle(), buffers_.socket.data(), buffers_.socket.size(), 0);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return Close(connection, "");
  AwaitRead(connection);
}

void MqttListenerImpl::Close(const Handle& connection, std::string_view why) {
  if (std::exchange(connection->gone, true)) return;
  if (connection->mqtt != nullptr) {
    connection->mqtt->Closed(why, NowMs());
    connection->mqtt.reset();
  }
  if (connection->half_open) authenticator_.Withdraw(connection->id);
  connection->stream.reset();
  std::error_code ignored;
  connection->socket.close(ignored);
  gate_.Gone(connection->id, connection->address, connection->half_open);
  connections_.erase(connection->id);
  if (connections_.empty() && on_empty_) std::exchange(on_empty_, nullptr)();
}

}  // namespace sluice::transport
