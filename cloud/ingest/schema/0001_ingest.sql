-- Who may write which queue now. `queue` is its name: inventory, attendance, shop-urgent, shop-bulk. An empty token: released.
CREATE TABLE leases(
  gateway TEXT NOT NULL,
  queue TEXT NOT NULL,
  token TEXT NOT NULL,
  hardware TEXT NOT NULL,
  expires_ms BIGINT NOT NULL,
  refused_ms BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY(gateway, queue)
);

-- Shops that a gateway's certificate has named.
CREATE TABLE gateway_shops(
  gateway TEXT NOT NULL,
  shop TEXT NOT NULL,
  first_seen_ms BIGINT NOT NULL,
  PRIMARY KEY(gateway, shop)
);

-- Epochs of which anything took effect, each with its shop for ever.
CREATE TABLE epochs(
  gateway TEXT NOT NULL,
  epoch TEXT NOT NULL,
  ordinal BIGINT NOT NULL,
  shop TEXT NOT NULL,
  first_seen_ms BIGINT NOT NULL,
  PRIMARY KEY(gateway, epoch)
);

CREATE TABLE cursors(
  gateway TEXT NOT NULL,
  epoch TEXT NOT NULL,
  queue TEXT NOT NULL,
  number BIGINT NOT NULL,
  event_id TEXT NOT NULL,
  updated_ms BIGINT NOT NULL,
  PRIMARY KEY(gateway, epoch, queue)
);

-- Declared gaps: what the edge lost by policy, as far as it lay above the cursor.
CREATE TABLE losses(
  gateway TEXT NOT NULL,
  epoch TEXT NOT NULL,
  queue TEXT NOT NULL,
  first BIGINT NOT NULL,
  last BIGINT NOT NULL,
  reason TEXT NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY(gateway, epoch, queue, first)
);

-- Records that can never be accepted, with their bytes as they came.
CREATE TABLE dead_letters(
  gateway TEXT NOT NULL,
  epoch TEXT NOT NULL,
  queue TEXT NOT NULL,
  number BIGINT NOT NULL,
  reason TEXT NOT NULL,
  bytes BLOB NOT NULL,
  at_ms BIGINT NOT NULL,
  PRIMARY KEY(gateway, epoch, queue, number)
);

-- Records of a kind that this program does not know yet; applied at the first start of one that does.
CREATE TABLE kept_records(
  id INTEGER PRIMARY KEY,
  gateway TEXT NOT NULL,
  shop TEXT NOT NULL,
  epoch TEXT NOT NULL,
  queue TEXT NOT NULL,
  number BIGINT NOT NULL,
  bytes BLOB NOT NULL,
  at_ms BIGINT NOT NULL
);

-- What a gateway learned about its clock: for events of that boot, Unix ms = offset_ms + time since boot.
CREATE TABLE clock_fixes(
  gateway TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  queue TEXT NOT NULL,
  offset_ms BIGINT NOT NULL,
  quality INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  number BIGINT NOT NULL,
  PRIMARY KEY(gateway, epoch, queue, number)
);

-- Who did what that somebody should look at.
CREATE TABLE audit(
  id INTEGER PRIMARY KEY,
  at_ms BIGINT NOT NULL,
  gateway TEXT NOT NULL,
  what TEXT NOT NULL,
  detail TEXT NOT NULL
);

-- One row. A restore from a backup sets a new generation.
CREATE TABLE store_generation(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  generation TEXT NOT NULL
);
