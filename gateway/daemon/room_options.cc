#include "gateway/daemon/room_options.h"

#include <algorithm>
#include <cstdlib>
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
  options.max_devices = static_cast<size_t>(config.intake.max_devices);
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
  options.sender.pacing.max_batch_items = static_cast<size_t>(config.sync.batch_items);
  options.sender.pacing.max_batch_bytes = config.sync.batch_bytes;
  options.sender.renew_us = config.sync.lease_renew_ms * 1'000;
  options.retry.spread_ms = config.sync.spread_ms;
  options.retry.base_ms = config.sync.base_ms;
  options.retry.cap_ms = config.sync.cap_ms;
  options.retry.prompt_ms = std::min(options.retry.prompt_ms, config.sync.spread_ms);
  options.channel.keepalive_ms = config.sync.keepalive_ms;
  options.channel.keepalive_timeout_ms = config.sync.keepalive_timeout_ms;
  options.channel.server_name = config.cloud.server_name;
  return options;
}

control::Options ControlOptions(const config::Config& config) {
  control::Options options;
  options.socket_path = config.control.socket;
  options.mode = static_cast<int>(std::strtol(config.control.mode.c_str(), nullptr, 8));
  return options;
}

namespace {

transport::MqttVersion Version(const std::string& version) {
  if (version == "5") return transport::MqttVersion::k5;
  if (version == "3.1.1") return transport::MqttVersion::k311;
  return transport::MqttVersion::kAuto;
}

transport::FlowControl Flow(const std::string& flow) {
  if (flow == "rtscts") return transport::FlowControl::kRtsCts;
  if (flow == "xonxoff") return transport::FlowControl::kXonXoff;
  return transport::FlowControl::kNone;
}

// `framing` was checked with the configuration: "8N1" and the like.
void SetFraming(const std::string& framing, lines::LineSourceConfig& source) {
  source.data_bits = framing[0] - '0';
  source.parity = framing[1] == 'E'   ? transport::Parity::kEven
                  : framing[1] == 'O' ? transport::Parity::kOdd
                                      : transport::Parity::kNone;
  source.stop_bits = framing[2] - '0';
}

transport::MqttListenerOptions ListenerOptions(const config::Listener& config, int64_t clock_floor_ms) {
  using Place = transport::DeviceNameRule::Place;
  transport::MqttListenerOptions options;
  options.bind = config.bind;
  options.tls.certificate_file = config.certificate_file;
  options.tls.key_file = config.key_file;
  options.tls.client_ca_file = config.client_ca_file;
  options.tls.clock_floor_ms = clock_floor_ms;
  options.certificate_name.place = config.device_name_in == "common-name" ? Place::kCommonName : Place::kUri;
  options.certificate_name.uri_prefix = config.device_uri_prefix;
  options.password_file = config.password_file;
  options.topics = config.topics;
  options.connections = {.total = static_cast<size_t>(config.max_connections),
                         .per_address = static_cast<size_t>(config.max_connections_per_address),
                         .half_open = static_cast<size_t>(config.max_half_open),
                         .half_open_per_address = static_cast<size_t>(config.max_half_open_per_address),
                         .per_second = static_cast<double>(config.max_connects_per_second)};
  options.handshake_timeout_ms = config.connect_timeout_s * 1000;
  options.write_timeout_ms = config.write_timeout_s * 1000;

  transport::MqttSessionOptions& sessions = options.sessions;
  sessions.connect_timeout_ms = config.connect_timeout_s * 1000;
  sessions.max_packet_bytes = static_cast<uint32_t>(config.max_packet_bytes);
  sessions.receive_maximum = static_cast<uint16_t>(config.receive_maximum);
  sessions.publishes_per_second = static_cast<double>(config.max_publishes_per_second);
  sessions.publish_burst = std::max(sessions.publishes_per_second, 1.0);
  sessions.total_publishes_per_second = static_cast<double>(config.max_total_publishes_per_second);
  sessions.max_keep_alive_s = static_cast<uint16_t>(config.max_keep_alive_s);
  sessions.max_session_expiry_s = sessions.v311_session_expiry_s = static_cast<uint32_t>(config.session_expiry_s);
  sessions.max_sessions_per_device = static_cast<size_t>(config.max_connections_per_device);
  sessions.max_connections = options.connections.total;
  sessions.max_sessions = 2 * options.connections.total;
  sessions.max_total_waiting_bytes = config.max_waiting_bytes;
  sessions.max_waiting_bytes = std::min<size_t>(sessions.max_waiting_bytes, config.max_waiting_bytes);
  sessions.max_total_queued_bytes = config.max_queued_bytes;
  sessions.max_queued_bytes = std::min<size_t>(sessions.max_queued_bytes, config.max_queued_bytes);
  sessions.max_total_retained_bytes = config.max_retained_bytes;
  sessions.max_retained_bytes = std::min<size_t>(sessions.max_retained_bytes, config.max_retained_bytes);
  return options;
}

}  // namespace

devices::DriversConfig DriverConfigs(const config::Config& config, const std::string& gateway, int64_t clock_floor_ms) {
  devices::DriversConfig drivers;
  for (const config::Mqtt& mqtt : config.mqtt) {
    native::MqttSourceConfig source;
    source.name = mqtt.name;
    source.url = mqtt.url;
    source.allow_plaintext = mqtt.allow_plaintext;
    source.version = Version(mqtt.version);
    source.client_id = mqtt.client_id.empty() ? "sluice-" + gateway + "-" + mqtt.name : mqtt.client_id;
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
  for (const config::Listener& listener : config.listener) {
    drivers.listener.push_back({.name = listener.name, .options = ListenerOptions(listener, clock_floor_ms)});
  }
  for (const config::Serial& serial : config.serial) {
    lines::LineSourceConfig source;
    source.name = serial.name;
    source.port = serial.port;
    source.profile_file = serial.profile;
    source.device = serial.device_id;
    if (serial.baud != 0) source.baud = static_cast<int>(serial.baud);
    if (!serial.framing.empty()) SetFraming(serial.framing, source);
    if (!serial.flow.empty()) source.flow = Flow(serial.flow);
    if (serial.rs485.enabled) {
      source.rs485 = true;
      source.rs485_rts_on_send = serial.rs485.rts_on_send;
      source.rs485_delay_before_ms = static_cast<int>(serial.rs485.delay_before_send_ms);
      source.rs485_delay_after_ms = static_cast<int>(serial.rs485.delay_after_send_ms);
    }
    if (serial.receipts) source.receipts = true;
    drivers.serial.push_back(std::move(source));
  }
  return drivers;
}

}  // namespace sluice::daemon
