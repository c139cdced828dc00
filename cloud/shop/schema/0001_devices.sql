-- The devices of each shop as they are now. Times are Unix ms.
CREATE TABLE devices(
  shop_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  gateway_id TEXT NOT NULL,
  status TEXT NOT NULL,
  status_text TEXT NOT NULL,
  last_seen_ms BIGINT NOT NULL,
  PRIMARY KEY(shop_id, device_id)
);

-- Alarms and command results: one row for each that took effect.
CREATE TABLE device_facts(
  position BIGINT PRIMARY KEY,
  shop_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  content TEXT NOT NULL,
  queue TEXT NOT NULL,
  device_id TEXT NOT NULL,
  boot BIGINT,
  seq BIGINT,
  kind TEXT NOT NULL,
  time_ms BIGINT NOT NULL,
  code TEXT NOT NULL,
  severity TEXT NOT NULL,
  ok INTEGER NOT NULL,
  detail TEXT NOT NULL,
  UNIQUE(shop_id, event_id)
);

-- Every device event that took effect. Status and telemetry leave no row but that of the bus.
CREATE VIEW effects(position, queue, device_id, boot, seq, kind, event_id) AS
  SELECT position, queue, device_id, boot, seq, kind, event_id FROM device_facts
  UNION ALL
  SELECT position, queue, device_id, boot, seq, kind, cause FROM bus_outbox WHERE kind IN ('status', 'telemetry');
