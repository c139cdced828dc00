// Who a client is, by its certificate or its password. Passwords are verified on a thread of its own, one at a time, so that a
// hundred clients with passwords hold up no event.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "base/random.h"
#include "devices/transport/device_passwords.h"
#include "devices/transport/failure_backoff.h"
#include "devices/transport/mqtt_session.h"
#include "devices/transport/verify_queue.h"

namespace sluice::transport {

// Whether a client may come in.
struct MqttAdmission {
  enum class Result { kYes, kNoCredentials, kWrongPassword, kBackOff } result = Result::kNoCredentials;
  std::string device;
  std::string user;             // whose password was verified, rightly or wrongly
  uint64_t password_line = 0;   // DevicePasswords::LineOf when it was let in; 0: by a certificate
  bool remembered = false;      // without an scrypt
};

class MqttAuthenticator {
 public:
  struct Events {   // on the authenticator's thread
    // What Ask could not tell at once.
    std::function<void(uint64_t connection, MqttAdmission admission)> verified;
    // The passwords changed: who was let in by an old one has to go.
    std::function<void()> passwords_changed;
    // Every look_every_ms, and once before Start returns: the owner's own files may be looked at.
    std::function<void()> look;
  };

  // An empty password_file: certificates only.
  MqttAuthenticator(const std::string& password_file, FailureBackoff::Options failures, VerifyQueue::Options verifications,
                    int64_t look_every_ms, Random& random, Events events);
  ~MqttAuthenticator();   // as Stop

  void Start();
  void Stop();   // no event afterwards

  // For the loop's thread. `certificate_device`: from a verified certificate, or empty. A certificate settles it; then user name
  // and password are not looked at. Nothing: `verified` comes, unless it is withdrawn.
  std::optional<MqttAdmission> Ask(uint64_t connection, const std::string& address, const std::string& certificate_device,
                                   const MqttCredentials& credentials, int64_t now_ms);
  // The connection is gone: what it asked costs no more time. Harmless where nothing is open.
  void Withdraw(uint64_t connection);
  // Has to be told of each `verified`, on the loop's thread.
  void Note(const std::string& address, const MqttAdmission& admission, int64_t now_ms);

  // Any thread. 0: unknown.
  uint64_t LineOf(const std::string& device) const;
  // Why the password file cannot be used as it is now; empty: it can.
  std::string trouble() const;

 private:
  void Run();
  void Look();

  const int64_t look_every_ms_;
  const Events events_;
  const std::unique_ptr<DevicePasswords> passwords_;   // null: none
  FailureBackoff failures_;                            // the loop's

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  VerifyQueue queue_;   // as many at most as there are half-open connections
  std::string trouble_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sluice::transport
