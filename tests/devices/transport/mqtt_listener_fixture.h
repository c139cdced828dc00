// A listener on a free port of loopback, a handler that withholds, clients over TCP and TLS.
#pragma once

#include <gmock/gmock.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/password_file.h"
#include "base/random.h"
#include "base/strings.h"
#include "devices/transport/mqtt_listener.h"
#include "tests/fakes/mqtt_peer.h"
#include "tests/fakes/temp_folder.h"
#include "tests/fakes/test_certificates.h"

namespace sluice::transport {

// Takes everything and answers nothing, until it is told to. Thread-safe.
class WithholdingHandler final : public MqttListenerHandler {
 public:
  struct Message {
    uint64_t token;
    std::string device, topic, payload;
    uint8_t qos;
    bool retain, will;
  };

  MqttVerdict Publish(uint64_t token, const MqttPublication& publication) override {
    const std::lock_guard lock(mutex_);
    if (verdict_.kind == MqttVerdict::Kind::kTaken) {
      taken_.push_back({token, publication.identity.device, std::string(publication.topic), std::string(publication.payload),
                        publication.qos, publication.retain, publication.will});
    }
    ++offered_;
    changed_.notify_all();
    return verdict_;
  }
  void NotTaken(const MqttPublication& publication, MqttReason reason, std::string_view) override {
    const std::lock_guard lock(mutex_);
    not_taken_.emplace_back(std::string(publication.topic), reason);
    changed_.notify_all();
  }
  bool StoreFull() const override { return false; }

  void AnswerWith(MqttVerdict verdict) {
    const std::lock_guard lock(mutex_);
    verdict_ = std::move(verdict);
  }
  // The messages taken so far, once there are so many; fewer where that took too long.
  std::vector<Message> Await(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return taken_.size() >= count; });
    return taken_;
  }
  bool AwaitOffers(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return offered_ >= count; });
  }
  std::vector<std::pair<std::string, MqttReason>> not_taken() const {
    const std::lock_guard lock(mutex_);
    return not_taken_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  MqttVerdict verdict_;
  std::vector<Message> taken_;
  std::vector<std::pair<std::string, MqttReason>> not_taken_;
  size_t offered_ = 0;
};

class MqttListenerFixture : public testing::Test {
 protected:
  using State = MqttListenerStatus::State;

  MqttListenerFixture() {
    options.bind = "127.0.0.1:0";
    options.password_file = folder / "listener.passwd";
    options.look_every_ms = 20;
    options.sessions.connect_timeout_ms = 20'000;
    Allow("vm-1", "secret-1");
    Allow("vm-2", "secret-2");
  }

  // A password that costs little to verify.
  void Allow(const std::string& device, const std::string& password) {
    const PasswordHash hash = HashPassword(password, {.log_n = 10, .r = 1, .p = 1}, random).value();
    ASSERT_TRUE(EditPasswordFile(folder / "listener.passwd", [&](const std::string& text) {
                  return WithPassword(text, device, hash);
                }).ok());
  }
  void Remove(const std::string& device) {
    ASSERT_TRUE(EditPasswordFile(folder / "listener.passwd", [&](const std::string& text) {
                  return WithoutPassword(text, device);
                }).ok());
  }
  void Put(const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(folder / name, content).ok());
  }
  void InstallCertificate(const std::string& common_name) {
    const auto made = authority.Issue({.common_name = common_name, .addresses = {"127.0.0.1"}});
    Put("server.pem", made.certificate_pem);
    Put("server.key", made.private_key_pem);
  }
  void UseTls(bool client_certificates) {
    InstallCertificate("first");
    Put("devices.pem", devices.certificate_pem());
    options.tls.certificate_file = folder / "server.pem";
    options.tls.key_file = folder / "server.key";
    if (client_certificates) options.tls.client_ca_file = folder / "devices.pem";
  }
  void Start() {
    listener = MakeMqttListener(options, handler, clock, random);
    const absl::Status status = listener->Start();
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(listener->status().state, State::kListening) << listener->status().detail;
  }

  fakes::TlsClientOptions Tls() const { return {.ca_pem = authority.certificate_pem()}; }
  fakes::TlsClientOptions Tls(const fakes::TestCertificate& mine) const {
    return {.ca_pem = authority.certificate_pem(), .certificate_pem = mine.certificate_pem, .key_pem = mine.private_key_pem};
  }
  fakes::TestCertificate Certificate(const std::string& device) const {
    return devices.Issue({.common_name = "device", .uris = {StrCat("spiffe://a.b/device/", device)}});
  }
  static fakes::PeerOptions As(const std::string& device, const std::string& password, const std::string& client_id = "c1") {
    fakes::PeerOptions peer;
    peer.client_id = client_id;
    peer.user_name = device;
    peer.password = password;
    return peer;
  }
  // Connected and let in, over plain TCP with the password "secret-<last character of the name>".
  fakes::MqttPeer Peer(const std::string& device, const std::string& client_id = "c1",
                       MqttLevel level = MqttLevel::k5) {
    fakes::MqttPeer peer;
    EXPECT_TRUE(peer.net.Connect(listener->port())) << peer.net.error();
    fakes::PeerOptions who = As(device, StrCat("secret-", device.substr(device.size() - 1)), client_id);
    who.level = level;
    const auto connack = peer.Connect(who);
    EXPECT_TRUE(connack && connack->reason == MqttReason::kSuccess) << peer.net.error();
    return peer;
  }
  static MqttReason ReasonOf(const std::optional<MqttConnack>& connack) {
    return connack ? connack->reason : MqttReason::kUnspecifiedError;
  }

  // Until it holds; figures change on the listener's thread.
  bool Eventually(const std::function<bool(const MqttListenerStatus&)>& holds) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!holds(listener->status())) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }

  fakes::TempFolder folder;
  const fakes::TestAuthority authority{"server authority"}, devices{"device authority"};
  SystemClock clock;
  SystemRandom random;
  MqttListenerOptions options;
  WithholdingHandler handler;
  std::unique_ptr<MqttListener> listener;
};

}  // namespace sluice::transport
