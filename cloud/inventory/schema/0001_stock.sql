-- The ledger: rows are added, never changed. `change` is what the movement did to the level, `level` what it became.
CREATE TABLE stock_movements(
  position BIGINT PRIMARY KEY,
  shop_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  content TEXT NOT NULL,
  queue TEXT NOT NULL,
  device_id TEXT NOT NULL,
  boot BIGINT,
  seq BIGINT,
  kind TEXT NOT NULL,
  product_id TEXT NOT NULL,
  change BIGINT NOT NULL,
  level BIGINT NOT NULL,
  time_ms BIGINT NOT NULL,
  UNIQUE(shop_id, event_id)
);

-- The projection of the ledger.
CREATE TABLE stock_levels(
  shop_id TEXT NOT NULL,
  product_id TEXT NOT NULL,
  level BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  PRIMARY KEY(shop_id, product_id)
);

CREATE TABLE price_changes(
  position BIGINT PRIMARY KEY,
  shop_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  content TEXT NOT NULL,
  queue TEXT NOT NULL,
  device_id TEXT NOT NULL,
  boot BIGINT,
  seq BIGINT,
  product_id TEXT NOT NULL,
  minor_units BIGINT NOT NULL,
  currency TEXT NOT NULL,
  time_ms BIGINT NOT NULL,
  UNIQUE(shop_id, event_id)
);

-- Every device event that took effect.
CREATE VIEW effects(position, queue, device_id, boot, seq, kind, event_id) AS
  SELECT position, queue, device_id, boot, seq, kind, event_id FROM stock_movements
  UNION ALL
  SELECT position, queue, device_id, boot, seq, 'price_change', event_id FROM price_changes;
