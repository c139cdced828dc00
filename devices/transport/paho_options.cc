#include "devices/transport/paho_options.h"

#include "MQTTAsync.h"
#include "base/file.h"
#include "base/status.h"
#include "mqtt/connect_options.h"

namespace sluice::transport {

absl::Status FillConnectOptions(const MqttOptions& options, const MqttAddress& address, int version,
                                mqtt::connect_options& connect) {
  connect.set_mqtt_version(version);
  connect.set_keep_alive_interval(options.keep_alive_s);
  connect.set_connect_timeout(options.connect_timeout_s);
  connect.set_automatic_reconnect(false);
  if (version == MQTTVERSION_5) {
    connect.set_clean_start(false);
    const mqtt::properties properties{{mqtt::property::SESSION_EXPIRY_INTERVAL, static_cast<int>(options.session_expiry_s)},
                                      {mqtt::property::RECEIVE_MAXIMUM, static_cast<int>(options.receive_maximum)}};
    connect.set_properties(properties);
  } else {
    connect.set_clean_session(false);
  }
  if (!options.username.empty()) connect.set_user_name(options.username);
  if (!options.password_file.empty()) {
    absl::StatusOr<std::string> password = ReadFile(options.password_file, 4096);
    if (!password.ok()) return WithContext(password.status(), "password_file");
    while (!password->empty() && (password->back() == '\n' || password->back() == '\r')) password->pop_back();
    connect.set_password(*password);
  }
  if (address.tls) {
    mqtt::ssl_options ssl;
    if (!options.ca_file.empty()) ssl.set_trust_store(options.ca_file);
    if (!options.certificate_file.empty()) {
      ssl.set_key_store(options.certificate_file);
      ssl.set_private_key(options.key_file);
    }
    ssl.set_ssl_version(MQTT_SSL_VERSION_TLS_1_2);   // the least
    ssl.set_enable_server_cert_auth(true);
    ssl.set_verify(true);                            // the name too
    // No set_error_handler: Paho keeps a pointer to the copy of these options that connect() destroys.
    connect.set_ssl(ssl);
  }
  return absl::OkStatus();
}

}  // namespace sluice::transport
