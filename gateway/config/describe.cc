#include "gateway/config/rules.h"
#include "gateway/config/visitor.h"

namespace sluice::config {
namespace {

constexpr uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;

void DescribeMqtt(Visitor& v, Mqtt& c) {
  v.Text("name", c.name, Need::kRequired, CheckName);
  v.Text("url", c.url, Need::kRequired, CheckBrokerUrl);
  v.Text("version", c.version, Need::kRequired, OneOf({"auto", "5", "3.1.1"}));
  v.Text("client_id", c.client_id, Need::kOptional, AtMost(64));
  v.Text("username", c.username, Need::kOptional, AtMost(256));
  v.Path("password_file", c.password_file, Need::kOptional);
  v.Path("ca_file", c.ca_file, Need::kOptional);
  v.Path("certificate_file", c.certificate_file, Need::kOptional);
  v.Path("key_file", c.key_file, Need::kOptional);
  v.Flag("allow_plaintext", c.allow_plaintext);
  v.Integer("session_expiry_s", c.session_expiry_s, 60, 4'294'967'294);
  v.Integer("receive_maximum", c.receive_maximum, 1, 65'535);
  v.Integer("keep_alive_s", c.keep_alive_s, 5, 3600);
}

void DescribeListener(Visitor& v, Listener& c) {
  v.Text("name", c.name, Need::kRequired, CheckName);
  v.Text("bind", c.bind, Need::kRequired, CheckListenAddress);
  v.Path("certificate_file", c.certificate_file, Need::kOptional);
  v.Path("key_file", c.key_file, Need::kOptional);
  v.Path("client_ca_file", c.client_ca_file, Need::kOptional);
  v.Path("password_file", c.password_file, Need::kOptional);
  v.Text("device_name_in", c.device_name_in, Need::kRequired, OneOf({"uri", "common-name"}));
  v.Text("device_uri_prefix", c.device_uri_prefix, Need::kOptional, AtMost(256));
  v.Texts("topics", c.topics, 64, CheckDeviceTopics);
  v.Integer("max_connections", c.max_connections, 1, 100'000);
  v.Integer("max_connections_per_address", c.max_connections_per_address, 1, 100'000);
  v.Integer("max_connections_per_device", c.max_connections_per_device, 1, 1000);
  v.Integer("max_half_open", c.max_half_open, 1, 10'000);
  v.Integer("max_half_open_per_address", c.max_half_open_per_address, 1, 10'000);
  v.Integer("max_connects_per_second", c.max_connects_per_second, 1, 100'000);
  v.Integer("connect_timeout_s", c.connect_timeout_s, 1, 600);
  v.Integer("write_timeout_s", c.write_timeout_s, 1, 3600);
  v.Integer("max_keep_alive_s", c.max_keep_alive_s, 5, 65'535);
  v.Integer("session_expiry_s", c.session_expiry_s, 0, 4'294'967'294);
  v.Size("max_packet_bytes", c.max_packet_bytes, kKiB, 2 * kMiB);
  v.Integer("receive_maximum", c.receive_maximum, 1, 65'535);
  v.Integer("max_publishes_per_second", c.max_publishes_per_second, 0, 1'000'000);
  v.Integer("max_total_publishes_per_second", c.max_total_publishes_per_second, 0, 10'000'000);
  v.Size("max_waiting_bytes", c.max_waiting_bytes, 64 * kKiB, kGiB);
  v.Size("max_queued_bytes", c.max_queued_bytes, 64 * kKiB, kGiB);
  v.Size("max_retained_bytes", c.max_retained_bytes, 0, kGiB);
}

void DescribeSerial(Visitor& v, Serial& c) {
  v.Text("name", c.name, Need::kRequired, CheckName);
  v.Text("device_id", c.device_id, Need::kRequired, CheckDeviceId);
  v.Path("port", c.port, Need::kRequired);
  v.Integer("baud", c.baud, 0, 4'000'000);
  v.Text("framing", c.framing, Need::kOptional, CheckFraming);
  v.Text("flow", c.flow, Need::kOptional, OneOf({"none", "rtscts", "xonxoff"}));
  v.Path("profile", c.profile, Need::kRequired);
  v.Flag("receipts", c.receipts);
  v.Section("rs485", [&] {
    v.Flag("enabled", c.rs485.enabled);
    v.Flag("rts_on_send", c.rs485.rts_on_send);
    v.Integer("delay_before_send_ms", c.rs485.delay_before_send_ms, 0, 100);
    v.Integer("delay_after_send_ms", c.rs485.delay_after_send_ms, 0, 100);
  });
}

void DescribeDelivery(Visitor& v, Config& c) {
  v.Section("sync", [&] {
    v.Integer("spread_ms", c.sync.spread_ms, 0, 3'600'000);
    v.Integer("base_ms", c.sync.base_ms, 1, 3'600'000);
    v.Integer("cap_ms", c.sync.cap_ms, 1, 3'600'000);
    v.Integer("lease_renew_ms", c.sync.lease_renew_ms, 100, 240'000);
    v.Integer("keepalive_ms", c.sync.keepalive_ms, 1000, 600'000);
    v.Integer("keepalive_timeout_ms", c.sync.keepalive_timeout_ms, 100, 60'000);
    v.Integer("batch_items", c.sync.batch_items, 1, 10'000);
    v.Size("batch_bytes", c.sync.batch_bytes, 16 * kKiB, 3 * kMiB);
  });
  v.Section("journal", [&] {
    v.Size("segment_bytes", c.journal.segment_bytes, 64 * kKiB, 256 * kMiB);
    v.Integer("min_segments", c.journal.min_segments, 2, 64);
    v.Integer("max_segments", c.journal.max_segments, 2, 1024);
    v.Size("max_record_bytes", c.journal.max_record_bytes, 4 * kKiB, 2 * kMiB);
    v.Integer("sync_at_least_every_ms", c.journal.sync_at_least_every_ms, 10, 60'000);
  });
  v.Section("outbox", [&] {
    v.Size("memory_bytes", c.outbox.memory_bytes, 64 * kKiB, kGiB);
    v.Integer("spill_after_ms", c.outbox.spill_after_ms, 10, 600'000);
    v.Size("quota_bytes", c.outbox.quota_bytes, 4 * kMiB, 1024 * kGiB);
    v.Size("reserved_bytes", c.outbox.reserved_bytes, 0, 1024 * kGiB);
    v.Size("replay_window_bytes", c.outbox.replay_window_bytes, 0, 1024 * kGiB);
  });
}

}  // namespace

void Describe(Visitor& v, Config& c) {
  v.Section("gateway", [&] {
    v.Path("state_dir", c.gateway.state_dir, Need::kRequired);
    v.Text("hardware_id", c.gateway.hardware_id, Need::kOptional, AtMost(128));
  });
  v.Section("identity", [&] {
    v.Path("certificate", c.identity.certificate, Need::kRequired);
    v.Path("private_key", c.identity.private_key, Need::kRequired);
    v.Path("trust", c.identity.trust, Need::kRequired);
  });
  v.Section("cloud", [&] {
    v.Text("shop", c.cloud.shop, Need::kOptional, CheckHostPort);
    v.Text("inventory", c.cloud.inventory, Need::kOptional, CheckHostPort);
    v.Text("attendance", c.cloud.attendance, Need::kOptional, CheckHostPort);
    v.Text("server_name", c.cloud.server_name, Need::kOptional, AtMost(253));
  });
  DescribeDelivery(v, c);
  v.Section("intake", [&] {
    v.Integer("receipt_interval_ms", c.intake.receipt_interval_ms, 1, 1000);
    v.Size("max_event_bytes", c.intake.max_event_bytes, kKiB, kMiB);
    v.Integer("max_devices", c.intake.max_devices, 16, 1'000'000);
  });
  v.Each("mqtt", c.mqtt.size(), [&](size_t n) { c.mqtt.resize(n); }, [&](size_t i) { DescribeMqtt(v, c.mqtt[i]); });
  v.Each("listener", c.listener.size(), [&](size_t n) { c.listener.resize(n); },
         [&](size_t i) { DescribeListener(v, c.listener[i]); });
  v.Each("serial", c.serial.size(), [&](size_t n) { c.serial.resize(n); },
         [&](size_t i) { DescribeSerial(v, c.serial[i]); });
  v.Section("control", [&] {
    v.Path("socket", c.control.socket, Need::kRequired);
    v.Text("mode", c.control.mode, Need::kRequired, OneOf({"0600", "0660"}));
  });
  v.Section("log", [&] {
    v.Text("level", c.log.level, Need::kRequired, OneOf({"trace", "debug", "info", "warning", "error"}));
  });
}

}  // namespace sluice::config
