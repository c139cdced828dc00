// A real Mosquitto for a test: on a free loopback port, in a folder of its own, ended with the object.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace sluice::fakes {

// A TCP port of 127.0.0.1 that was free a moment ago.
uint16_t FreePort();

class MosquittoBroker {
 public:
  struct Options {
    bool tls = false;                 // with a CA and certificates made for this broker
    bool require_certificate = false; // of clients
    std::string user;                 // empty: everybody is let in
    std::string password;
    bool persistence = true;          // sessions survive Stop and Start
    std::string more;                 // further lines of configuration
    uint16_t port = 0;                // 0: a free one
  };

  static absl::StatusOr<std::unique_ptr<MosquittoBroker>> Make(Options options);
  static absl::StatusOr<std::unique_ptr<MosquittoBroker>> Make() { return Make(Options()); }
  ~MosquittoBroker();

  // Returns when it listens.
  absl::Status Start();
  void Stop();   // SIGTERM: it saves its sessions
  void Kill();   // SIGKILL: it forgets what it did not save

  uint16_t port() const { return port_; }
  std::string url() const;                      // mqtt:// or mqtts://
  const std::string& folder() const { return folder_; }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  // With tls: ca.crt, client.crt, client.key in the folder. With user: password.txt.
  std::string Log() const;

 private:
  MosquittoBroker(Options options, std::string folder, uint16_t port)
      : options_(std::move(options)), folder_(std::move(folder)), port_(port) {}
  absl::Status WriteFiles();
  void End(int signal);

  const Options options_;
  const std::string folder_;
  const uint16_t port_;
  pid_t pid_ = -1;
};

}  // namespace sluice::fakes
