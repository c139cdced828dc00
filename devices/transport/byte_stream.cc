#include "devices/transport/byte_stream.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace sluice::transport {
namespace {

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

class PlainStream final : public ByteStream {
 public:
  PlainStream(int socket, ReadBuffers& buffers) : socket_(socket), buffers_(buffers) {}

  State Handshake() override { return State::kOk; }

  State Read(std::string_view* bytes) override {
    *bytes = {};
    const ssize_t got = recv(socket_, buffers_.socket.data(), buffers_.socket.size(), 0);
    if (got < 0) return Failed(State::kWantRead);
    if (got == 0) return State::kEnd;
    *bytes = std::string_view(buffers_.socket.data(), static_cast<size_t>(got));
    return State::kOk;
  }

  State Write(std::string_view bytes, size_t* written) override {
    *written = 0;
    const ssize_t put = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put < 0) return Failed(State::kWantWrite);
    *written = static_cast<size_t>(put);
    return State::kOk;
  }

  void SayGoodbye() override { shutdown(socket_, SHUT_WR); }
  std::string error() const override { return std::strerror(error_); }
  x509_st* peer_certificate() const override { return nullptr; }
  std::string security() const override { return "plain"; }

 private:
  State Failed(State would_block) {
    if (WouldBlock(errno)) return would_block;
    error_ = errno;
    return State::kError;
  }

  const int socket_;
  ReadBuffers& buffers_;
  int error_ = 0;
};

}  // namespace

std::unique_ptr<ByteStream> MakePlainStream(int socket, ReadBuffers& buffers) {
  return std::make_unique<PlainStream>(socket, buffers);
}

}  // namespace sluice::transport
