#include "tests/faults/proxied_connection.h"

#include <sys/ioctl.h>
#include <linux/sockios.h>

#include <algorithm>
#include <asio/buffer.hpp>
#include <asio/connect.hpp>
#include <chrono>
#include <utility>

namespace sluice::faults {
namespace {

using asio::ip::tcp;

constexpr size_t kWriteAtOnce = 256 << 10;
// How long a cut waits, in steps of a millisecond, until the receiver's kernel has the last bytes.
constexpr int kMaxCutWaits = 2000;

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void CloseWithReset(tcp::socket& socket) {
  asio::error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

}  // namespace

ProxiedConnection::ProxiedConnection(tcp::socket client, ProxyState& state, Ended ended)
    : client_(std::move(client)),
      target_(client_.get_executor()),
      state_(state),
      ended_(std::move(ended)),
      up_(client_, target_, Direction::kUp),
      down_(target_, client_, Direction::kDown) {}

void ProxiedConnection::Connect(const std::vector<tcp::endpoint>& targets) {
  asio::async_connect(target_, targets, [self = shared_from_this()](asio::error_code error, const tcp::endpoint&) {
    if (self->closed_) return;
    if (error) return self->Reset();
    asio::error_code ignored;
    self->client_.set_option(tcp::no_delay(true), ignored);
    self->target_.set_option(tcp::no_delay(true), ignored);
    self->connected_ = true;
    self->FlowChanged();
  });
}

void ProxiedConnection::FlowChanged() {
  if (closed_ || !connected_) return;
  if (state_.flow == Flow::kNormal && (up_.lost || down_.lost)) return Reset();
  if (state_.flow == Flow::kStall) {
    // A read that is under way would still take something. What was taken stays in the queue.
    asio::error_code ignored;
    client_.cancel(ignored);
    target_.cancel(ignored);
    return;
  }
  for (Pipe* pipe : {&up_, &down_}) {
    if (state_.flow == Flow::kHalfOpen) Swallow(*pipe);
    if (!closed_) Pump(*pipe);
  }
}

void ProxiedConnection::Reset() {
  if (closed_) return;
  closed_ = true;
  CloseWithReset(client_);
  CloseWithReset(target_);
  up_.timer.cancel();
  down_.timer.cancel();
  ended_(this);
}

void ProxiedConnection::Pump(Pipe& pipe) {
  Write(pipe);
  if (!closed_) Read(pipe);
}

void ProxiedConnection::Read(Pipe& pipe) {
  if (pipe.reading || pipe.from_ended || pipe.cut || state_.flow == Flow::kStall) return;
  if (pipe.queue.bytes() >= state_.max_queued_bytes) return;   // Write comes back here
  pipe.reading = true;
  pipe.from.async_read_some(asio::buffer(pipe.buffer),
                            [this, self = shared_from_this(), &pipe](asio::error_code error, size_t size) {
                              pipe.reading = false;
                              if (closed_) return;
                              if (size > 0) Took(pipe, size);
                              if (error == asio::error::eof) {
                                pipe.from_ended = true;
                                pipe.fin_due_us = NowUs() + state_.delay_us;
                                if (state_.flow == Flow::kHalfOpen) pipe.lost = true;
                              } else if (error && error != asio::error::operation_aborted) {
                                if (state_.flow != Flow::kHalfOpen) return Reset();
                                pipe.from_ended = pipe.lost = true;
                              }
                              Pump(pipe);
                            });
}

void ProxiedConnection::Took(Pipe& pipe, size_t size) {
  (pipe.direction == Direction::kUp ? state_.figures.up_bytes : state_.figures.down_bytes) += size;
  if (state_.flow == Flow::kHalfOpen) {
    state_.figures.swallowed_bytes += size;
    pipe.lost = true;
    return;
  }
  if (state_.cut_armed && (state_.cut_direction == Direction::kBoth || state_.cut_direction == pipe.direction)) {
    if (size >= state_.cut_left) {
      size = static_cast<size_t>(state_.cut_left);
      state_.cut_armed = false;
      pipe.cut = true;
      ++state_.figures.cuts;
    }
    state_.cut_left -= size;
  }
  if (size > 0) pipe.queue.Push(std::string(pipe.buffer.data(), size), NowUs() + state_.delay_us);
}

void ProxiedConnection::Write(Pipe& pipe) {
  if (pipe.writing || pipe.fin_sent || state_.flow != Flow::kNormal) return;
  if (pipe.out_at == pipe.out.size()) {
    pipe.out = pipe.queue.PopDue(NowUs(), kWriteAtOnce);
    pipe.out_at = 0;
  }
  if (pipe.out.empty()) {
    if (const auto due = pipe.queue.NextDueUs()) return WakeAt(pipe, *due);
    if (pipe.cut) return FinishCut(pipe);
    if (!pipe.from_ended) return;
    if (NowUs() < pipe.fin_due_us) return WakeAt(pipe, pipe.fin_due_us);
    asio::error_code ignored;
    pipe.to.shutdown(tcp::socket::shutdown_send, ignored);
    pipe.fin_sent = true;
    return EndIfDone();
  }
  pipe.writing = true;
  pipe.to.async_write_some(asio::buffer(pipe.out.data() + pipe.out_at, pipe.out.size() - pipe.out_at),
                           [this, self = shared_from_this(), &pipe](asio::error_code error, size_t size) {
                             pipe.writing = false;
                             pipe.out_at += size;
                             if (closed_) return;
                             if (state_.flow == Flow::kHalfOpen) return Swallow(pipe);
                             if (error && error != asio::error::operation_aborted) return Reset();
                             Pump(pipe);
                           });
}

void ProxiedConnection::Swallow(Pipe& pipe) {
  if (pipe.writing) {   // the handler comes back here
    asio::error_code ignored;
    pipe.to.cancel(ignored);
    return;
  }
  const size_t size = pipe.queue.bytes() + pipe.out.size() - pipe.out_at;
  if (size > 0 || pipe.from_ended) pipe.lost = true;
  state_.figures.swallowed_bytes += size;
  pipe.queue.Clear();
  pipe.out.clear();
  pipe.out_at = 0;
  Read(pipe);
}

void ProxiedConnection::FinishCut(Pipe& pipe) {
  // A reset throws away what our kernel has not sent yet; the promise is that the bytes before the cut arrive.
  int unsent = 0;
  if (ioctl(pipe.to.native_handle(), SIOCOUTQ, &unsent) == 0 && unsent > 0 && cut_waits_++ < kMaxCutWaits) {
    return WakeAt(pipe, NowUs() + 1000);
  }
  Reset();
}

void ProxiedConnection::WakeAt(Pipe& pipe, int64_t due_us) {
  if (pipe.waiting) return;
  pipe.waiting = true;
  pipe.timer.expires_after(std::chrono::microseconds(std::max<int64_t>(0, due_us - NowUs())));
  pipe.timer.async_wait([this, self = shared_from_this(), &pipe](asio::error_code) {
    pipe.waiting = false;
    if (!closed_) Pump(pipe);
  });
}

void ProxiedConnection::EndIfDone() {
  if (!up_.fin_sent || !down_.fin_sent || closed_) return;
  closed_ = true;
  asio::error_code ignored;
  client_.close(ignored);
  target_.close(ignored);
  ended_(this);
}

}  // namespace sluice::faults
