// One accepted socket, plain or TLS, read and written without blocking. For the thread that serves the connections.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct x509_st;   // OpenSSL's X509

namespace sluice::transport {

// What all streams of a thread read into, so that a silent connection holds no buffer.
struct ReadBuffers {
  static constexpr size_t kSocketBytes = 64u << 10;
  // What one read of the socket can decrypt to, and a record begun before.
  static constexpr size_t kPlainBytes = kSocketBytes + (32u << 10);

  std::string socket = std::string(kSocketBytes, '\0');
  std::string plain = std::string(kPlainBytes, '\0');
};

class ByteStream {
 public:
  enum class State {
    kOk,
    kWantRead,    // call again when the socket is readable
    kWantWrite,   // … writable
    kEnd,         // the peer closed
    kError,       // see error()
  };
  virtual ~ByteStream() = default;   // leaves the socket open: it is the caller's

  // To be called until it is kOk, and before anything else; then call Read, for bytes may be there already.
  virtual State Handshake() = 0;
  // Takes what one read of the socket gives. *bytes may be filled at any result and is valid until the next call on any stream
  // that shares the buffers. After kOk there may be more.
  virtual State Read(std::string_view* bytes) = 0;
  // Writes the beginning of `bytes`. kOk: *written > 0, perhaps not all.
  virtual State Write(std::string_view bytes, size_t* written) = 0;
  // Tells the peer that nothing more comes, if that can be said without waiting.
  virtual void SayGoodbye() = 0;

  virtual std::string error() const = 0;                // why the last call was kError
  virtual x509_st* peer_certificate() const = 0;        // verified; null where there is none. Belongs to the stream
  virtual std::string security() const = 0;             // "TLSv1.3 TLS_AES_128_GCM_SHA256"; "plain"
};

// `socket` is non-blocking and outlives the stream, as do the buffers.
std::unique_ptr<ByteStream> MakePlainStream(int socket, ReadBuffers& buffers);

}  // namespace sluice::transport
