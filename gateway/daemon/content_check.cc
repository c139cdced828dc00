#include "gateway/daemon/content_check.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/password_file.h"
#include "base/status.h"
#include "devices/lines/driver.h"
#include "devices/transport/tls_server.h"
#include "gateway/daemon/room_options.h"
#include "sync/identity.h"

namespace sluice::daemon {
namespace {

constexpr size_t kMaxPasswordBytes = 4096;   // as devices/transport reads it

class Complaints {
 public:
  void Add(std::string_view key, const absl::Status& status) {
    if (!status.ok()) text_ += StrCat(text_.empty() ? "" : "\n", key, ": ", MessageOf(status));
  }
  absl::Status Result() const { return text_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(text_); }

 private:
  std::string text_;
};

absl::Status CheckPassword(const std::string& path) {
  const absl::StatusOr<std::string> password = ReadFile(path, kMaxPasswordBytes);
  if (!password.ok()) return WithContext(password.status(), path);
  if (password->find_first_not_of("\r\n") == std::string::npos) return absl::InvalidArgumentError(StrCat(path, ": holds no password"));
  return absl::OkStatus();
}

absl::Status CheckAuthorities(const std::string& path) {
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  const bool read = store != nullptr && X509_STORE_load_locations(store.get(), path.c_str(), nullptr) == 1;
  ERR_clear_error();
  return read ? absl::OkStatus() : absl::InvalidArgumentError(StrCat(path, ": holds no PEM certificate"));
}

void CheckMqtt(const config::Mqtt& mqtt, const std::string& key, const Clock& clock, Complaints& complaints) {
  if (!mqtt.password_file.empty()) complaints.Add(key + ".password_file", CheckPassword(mqtt.password_file));
  if (!mqtt.ca_file.empty()) complaints.Add(key + ".ca_file", CheckAuthorities(mqtt.ca_file));
  if (mqtt.certificate_file.empty()) return;
  // A certificate and its key: whose end they are for makes no difference to reading them.
  const transport::TlsServerOptions pair{.certificate_file = mqtt.certificate_file, .key_file = mqtt.key_file};
  complaints.Add(key, transport::TlsServer::Load(pair, clock).status());
}

}  // namespace

absl::Status CheckContents(const config::Config& config, const Clock& clock) {
  Complaints complaints;
  const auto identity = sync::LoadCredentials(UplinkOptions(config, "", "").identity);
  complaints.Add("identity", identity.status());
  for (size_t i = 0; i < config.mqtt.size(); ++i) CheckMqtt(config.mqtt[i], StrCat("mqtt[", i, "]"), clock, complaints);

  const devices::DriversConfig drivers = DriverConfigs(config, identity.ok() ? identity->identity.gateway : "", 0);
  for (size_t i = 0; i < drivers.listener.size(); ++i) {
    const transport::MqttListenerOptions& listener = drivers.listener[i].options;
    const std::string key = StrCat("listener[", i, "]");
    if (!listener.tls.certificate_file.empty()) complaints.Add(key, transport::TlsServer::Load(listener.tls, clock).status());
    if (listener.password_file.empty()) continue;
    complaints.Add(key + ".password_file", WithContext(PasswordFile::Load(listener.password_file).status(), listener.password_file));
  }
  for (size_t i = 0; i < drivers.serial.size(); ++i) {
    complaints.Add(StrCat("serial[", i, "]"), lines::CheckLineSource(drivers.serial[i]));
  }
  return complaints.Result();
}

}  // namespace sluice::daemon
