#include <functional>
#include <map>
#include <string>

#include "base/strings.h"
#include "gateway/config/rules.h"
#include "gateway/config/visitor.h"

namespace sluice::config {
namespace {

using Complain = std::function<void(const std::string&, const std::string&)>;

// Values of one key that must differ between the tables of an array.
class Unique {
 public:
  Unique(std::string array, std::string key, const Complain& complain)
      : array_(std::move(array)), key_(std::move(key)), complain_(complain) {}

  void Add(size_t index, const std::string& value) {
    if (value.empty()) return;
    const auto [at, fresh] = first_.try_emplace(value, index);
    if (!fresh) complain_(StrCat(array_, "[", index, "].", key_), StrCat("is used already by ", array_, "[", at->second, "]"));
  }

 private:
  const std::string array_, key_;
  const Complain& complain_;
  std::map<std::string, size_t> first_;
};

void CheckMqtt(const Config& config, const Complain& complain) {
  Unique names("mqtt", "name", complain);
  for (size_t i = 0; i < config.mqtt.size(); ++i) {
    const Mqtt& mqtt = config.mqtt[i];
    const auto key = [i](std::string_view name) { return StrCat("mqtt[", i, "].", name); };
    names.Add(i, mqtt.name);
    const bool plain = mqtt.url.starts_with("mqtt://");
    if (!mqtt.password_file.empty() && mqtt.username.empty()) complain(key("password_file"), "needs username");
    if (mqtt.certificate_file.empty() != mqtt.key_file.empty()) {
      complain(key(mqtt.key_file.empty() ? "certificate_file" : "key_file"), "certificate_file and key_file go together");
    }
    if (plain && (!mqtt.certificate_file.empty() || !mqtt.ca_file.empty())) {
      complain(key("url"), "must be mqtts:// where ca_file or certificate_file is given");
    }
    if (plain && !mqtt.allow_plaintext && !IsThisHost(HostOf(mqtt.url))) {
      complain(key("url"), "must be mqtts:// to another host, unless allow_plaintext = true");
    }
  }
}

void CheckListener(const Config& config, const Complain& complain) {
  Unique names("listener", "name", complain), ports("listener", "bind", complain);
  for (size_t i = 0; i < config.listener.size(); ++i) {
    const Listener& listener = config.listener[i];
    const auto key = [i](std::string_view name) { return StrCat("listener[", i, "].", name); };
    names.Add(i, listener.name);
    ports.Add(i, listener.bind);
    const bool tls = !listener.certificate_file.empty();
    if (tls != !listener.key_file.empty()) {
      complain(key(tls ? "certificate_file" : "key_file"), "certificate_file and key_file go together");
    } else if (!tls && !listener.bind.empty() && !IsLoopback(listener.bind)) {
      complain(key("bind"), "must be a loopback address where certificate_file and key_file are not given: others could read along");
    }
    if (!tls && !listener.client_ca_file.empty()) complain(key("client_ca_file"), "needs certificate_file and key_file");
    if (listener.client_ca_file.empty() && listener.password_file.empty()) {
      complain(key("bind"), "needs client_ca_file or password_file beside it: without one of them no device may come in");
    }
    if (listener.client_ca_file.empty() && !listener.device_uri_prefix.empty()) {
      complain(key("device_uri_prefix"), "needs client_ca_file");
    }
    if (listener.device_name_in != "uri" && !listener.device_uri_prefix.empty()) {
      complain(key("device_uri_prefix"), "needs device_name_in = \"uri\"");
    }
  }
}

void CheckSerial(const Config& config, const Complain& complain) {
  Unique names("serial", "name", complain), ports("serial", "port", complain), devices("serial", "device_id", complain);
  for (size_t i = 0; i < config.serial.size(); ++i) {
    names.Add(i, config.serial[i].name);
    ports.Add(i, config.serial[i].port);
    devices.Add(i, config.serial[i].device_id);
    if (config.serial[i].rs485.enabled && config.serial[i].flow == "rtscts") {
      complain(StrCat("serial[", i, "].flow"), "must not be \"rtscts\" where rs485 is enabled: the kernel uses RTS for the direction");
    }
  }
}

}  // namespace

void CheckTogether(const Config& c, const Complain& complain) {
  if (c.sync.base_ms > c.sync.cap_ms) complain("sync.base_ms", StrCat("must not exceed cap_ms (", c.sync.cap_ms, ")"));
  if (c.journal.segment_bytes % 4096 != 0) complain("journal.segment_bytes", "must be a multiple of 4 KiB");
  if (c.journal.max_record_bytes > c.journal.segment_bytes / 4) {
    complain("journal.max_record_bytes", StrCat("must be at most a quarter of segment_bytes (", FormatSize(c.journal.segment_bytes), ")"));
  }
  if (c.journal.min_segments > c.journal.max_segments) {
    complain("journal.min_segments", StrCat("must not exceed max_segments (", c.journal.max_segments, ")"));
  }
  if (c.intake.max_event_bytes > c.journal.max_record_bytes) {
    complain("intake.max_event_bytes",
             StrCat("must not exceed journal.max_record_bytes (", FormatSize(c.journal.max_record_bytes), ")"));
  }
  if (c.outbox.reserved_bytes > c.outbox.quota_bytes / 2) {
    complain("outbox.reserved_bytes", StrCat("must be at most half of quota_bytes (", FormatSize(c.outbox.quota_bytes), ")"));
  }
  if (c.outbox.replay_window_bytes > c.outbox.quota_bytes / 2) {
    complain("outbox.replay_window_bytes",
             StrCat("must be at most half of quota_bytes (", FormatSize(c.outbox.quota_bytes), ")"));
  }
  CheckMqtt(c, complain);
  CheckListener(c, complain);
  CheckSerial(c, complain);
}

}  // namespace sluice::config
