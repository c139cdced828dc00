-- Events of this service for the rest of the ERP, in the order of application. `envelope` is what is published, byte for
-- byte, however often; the columns from `queue` on say which device event caused it.
CREATE TABLE bus_outbox(
  position INTEGER PRIMARY KEY,
  event_type TEXT NOT NULL,
  entity TEXT NOT NULL,
  envelope TEXT NOT NULL,
  queue TEXT NOT NULL,
  device_id TEXT NOT NULL,
  boot BIGINT,
  seq BIGINT,
  kind TEXT NOT NULL,
  cause TEXT NOT NULL
);

-- How far each publisher is: everything up to `position` is published for good; `mark` is the publisher's own note.
CREATE TABLE bus_relay(
  publisher TEXT PRIMARY KEY,
  position BIGINT NOT NULL,
  mark TEXT NOT NULL
);

-- The highest number that the store has given.
CREATE VIEW last_position(position) AS SELECT coalesce(max(position), 0) FROM bus_outbox;
