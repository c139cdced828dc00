// The other end of a TCP or TLS connection, for tests: blocking, with a time limit on everything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::fakes {

struct TlsClientOptions {
  std::string ca_pem;                          // whom to believe; the server's name must be 127.0.0.1 or localhost
  std::string certificate_pem, key_pem;        // ours; empty: none
  int min_version = 0, max_version = 0;        // TLS1_2_VERSION …; 0: any
  std::string ciphers;                         // of TLS 1.2; empty: OpenSSL's
};

// For one thread. A failure is an answer, never an abort.
class NetClient {
 public:
  static constexpr int kLimitMs = 20'000;

  NetClient();
  ~NetClient();   // closes
  NetClient(NetClient&&) noexcept;
  NetClient& operator=(NetClient&&) noexcept;

  // To 127.0.0.1, from `from` if it is given (127.0.0.2 is another address of this machine).
  bool Connect(uint16_t port, const std::string& from = "");
  void Adopt(int fd);
  // After Connect. False: error() says why. `again`: resume the session that an earlier client had.
  bool StartTls(const TlsClientOptions& options, const NetClient* again = nullptr);
  bool resumed() const;
  std::string peer_common_name() const;   // of the server's certificate

  bool Send(std::string_view bytes);
  // What comes next, at least one byte. Empty: the server closed, or time is over; error() says which.
  std::string Receive(int limit_ms = kLimitMs);
  // Nothing is to be read within the time: true. Consumes nothing otherwise.
  bool Silent(int ms);
  // Everything until the end; false: it did not end in time.
  bool ReceiveToEnd(std::string* bytes = nullptr);
  void Close();      // in order
  void Reset();      // as if the power was cut: RST
  void SetReceiveBuffer(int bytes);   // before Connect

  int fd() const;
  const std::string& error() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::fakes
