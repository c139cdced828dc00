-- What the terminals recorded. `employee` is the terminal's user number until a roster maps it; `kind` is punch, check_in,
-- check_out, break_start or break_end. Never a biometric template.
CREATE TABLE punches(
  position BIGINT PRIMARY KEY,
  shop_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  content TEXT NOT NULL,
  queue TEXT NOT NULL,
  device_id TEXT NOT NULL,
  boot BIGINT,
  seq BIGINT,
  event_kind TEXT NOT NULL,
  kind TEXT NOT NULL,
  employee TEXT NOT NULL,
  verified_by TEXT NOT NULL,
  time_ms BIGINT NOT NULL,
  UNIQUE(shop_id, event_id)
);

-- Every device event that took effect.
CREATE VIEW effects(position, queue, device_id, boot, seq, kind, event_id) AS
  SELECT position, queue, device_id, boot, seq, event_kind, event_id FROM punches;
