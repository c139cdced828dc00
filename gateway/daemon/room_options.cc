#include "gateway/daemon/room_options.h"

#include <utility>

namespace sluice::daemon {

journal::Options JournalOptions(const config::Config& config) {
  return {.folder = config.gateway.state_dir + "/journal",
          .segment_bytes = config.journal.segment_bytes,
          .min_segments = static_cast<uint32_t>(config.journal.min_segments),
          .max_segments = static_cast<uint32_t>(config.journal.max_segments),
          .max_record_bytes = config.journal.max_record_bytes,
          .sync_at_least_every_ms = config.journal.sync_at_least_every_ms};
}

outbox::Options OutboxOptions(const config::Config& config) {
  return {.folder = config.gateway.state_dir,
          .memory_bytes = config.outbox.memory_bytes,
          .spill_after_ms = config.outbox.spill_after_ms,
          .quota_bytes = config.outbox.quota_bytes,
          .reserved_bytes = config.outbox.reserved_bytes,
          .replay_window_bytes = config.outbox.replay_window_bytes};
}

intake::Options IntakeOptions(const config::Config& config, const std::string& gateway, const std::string& shop) {
  intake::Options options;
  options.gateway = gateway;
  options.shop = shop;
  options.max_event_bytes = config.intake.max_event_bytes;
  options.receipt_interval_ms = config.intake.receipt_interval_ms;
  return options;
}

sync::UplinkOptions UplinkOptions(const config::Config& config, std::string hardware_id, std::string software) {
  sync::UplinkOptions options;
  options.shop_address = config.cloud.shop;
  options.inventory_address = config.cloud.inventory;
  options.attendance_address = config.cloud.attendance;
  options.identity = {.certificate = config.identity.certificate,
                      .private_key = config.identity.private_key,
                      .authorities = config.identity.trust};
  options.hardware_id = std::move(hardware_id);
  options.software = std::move(software);
  options.sender.max_batch_items = static_cast<size_t>(config.sync.max_batch_items);
  options.sender.max_batch_bytes = config.sync.max_batch_bytes;
  options.sender.renew_us = config.sync.renew_s * 1'000'000;
  options.retry.spread_ms = config.sync.spread_ms;
  options.retry.base_ms = config.sync.base_ms;
  options.retry.cap_ms = config.sync.cap_ms;
  options.retry.prompt_ms = config.sync.prompt_ms;
  options.channel.connect_timeout_ms = config.sync.connect_timeout_ms;
  options.channel.server_name = config.cloud.server_name;
  return options;
}

control::Options ControlOptions(const config::Config& config) {
  control::Options options;
  options.socket_path = config.control.socket;
  options.mode = static_cast<int>(config.control.mode);
  return options;
}

namespace {

transport::MqttVersion Version(config::MqttVersion version) {
  switch (version) {
    case config::MqttVersion::k5: return transport::MqttVersion::k5;
    case config::MqttVersion::k311: return transport::MqttVersion::k311;
    case config::MqttVersion::kAuto: break;
  }
  return transport::MqttVersion::kAuto;
}

}  // namespace

devices::DriverConfigs DriverConfigs(const config::Config& config, const std::string& gateway) {
  devices::DriverConfigs drivers;
  for (const config::Mqtt& mqtt : config.mqtt) {
    native::MqttSourceConfig source;
    source.name = mqtt.name;
    source.url = mqtt.url;
    source.allow_plaintext = mqtt.allow_plaintext;
    source.version = Version(mqtt.version);
    source.client_id = mqtt.client_id.empty() ? gateway : mqtt.client_id;
    source.username = mqtt.username;
    source.password_file = mqtt.password_file;
    source.ca_file = mqtt.ca_file;
    source.certificate_file = mqtt.certificate_file;
    source.key_file = mqtt.key_file;
    source.session_expiry_s = static_cast<uint32_t>(mqtt.session_expiry_s);
    source.receive_maximum = static_cast<uint16_t>(mqtt.receive_maximum);
    source.keep_alive_s = static_cast<int>(mqtt.keep_alive_s);
    drivers.mqtt.push_back(std::move(source));
  }
  return drivers;
}

}  // namespace sluice::daemon
