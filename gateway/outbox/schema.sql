-- The spill, format version 1 (SCHEMA.md). PRAGMA user_version tells the version; an unknown one is set aside untouched.

-- One row for each (epoch, queue) of which anything is held, for those of the running epoch, and for the newest of which
-- nothing is held any more: a cloud that was restored to before them has to be told of the gap.
CREATE TABLE streams (
  stream    INTEGER PRIMARY KEY,      -- 1 … 2^19 - 1; the upper part of items.position
  epoch     BLOB    NOT NULL,         -- 16 bytes
  queue     INTEGER NOT NULL,         -- sluice::Queue
  ordinal   INTEGER NOT NULL,         -- start order on this store
  gateway   TEXT    NOT NULL,
  shop      TEXT    NOT NULL,
  last      INTEGER NOT NULL,         -- the highest number known to have been taken
  stored_to INTEGER NOT NULL,         -- up to here everything is a row below or was acknowledged before it became one
  acked_to  INTEGER NOT NULL,         -- lazily: what the cloud acknowledged
  UNIQUE (epoch, queue)
);

-- What is sent under another epoch than it is stored under: from number `first` on, to where the stream's next row begins,
-- as 1, 2, 3 … of `epoch`. None: all of the stream goes out under its own.
CREATE TABLE sent_as (
  stream INTEGER NOT NULL,
  first  INTEGER NOT NULL,
  epoch  BLOB    NOT NULL,
  PRIMARY KEY (stream, first)
) WITHOUT ROWID;

-- Records and gaps in number order.
CREATE TABLE items (
  position    INTEGER PRIMARY KEY,    -- stream << 44 | last number
  first       INTEGER,                -- of a gap; NULL: a record
  gap         INTEGER,                -- sluice::GapReason; NULL: a record
  sealed      INTEGER,                -- 1: bytes are sealed (base/seal.h, domain 2, counter = number)
  id          BLOB,
  accepted_ms INTEGER,
  crc         INTEGER NOT NULL,       -- CRC-32C, see SCHEMA.md
  bytes       BLOB
);

-- What items holds, by range: counts without scanning, and when it was stored.
CREATE TABLE ranges (
  stream    INTEGER NOT NULL,
  last      INTEGER NOT NULL,
  first     INTEGER NOT NULL,
  rows      INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,
  gaps      INTEGER NOT NULL,
  stored_ms INTEGER NOT NULL,
  PRIMARY KEY (stream, last)
) WITHOUT ROWID;

-- When ranges were sent and acknowledged, for trace; the newest few thousand.
CREATE TABLE times (
  id     INTEGER PRIMARY KEY,
  stream INTEGER NOT NULL,
  kind   INTEGER NOT NULL,            -- 1 sent, 2 acknowledged
  first  INTEGER NOT NULL,
  last   INTEGER NOT NULL,
  at_ms  INTEGER NOT NULL
);

CREATE TABLE snapshots (
  key   BLOB PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

-- Messages that were refused; the newest 1000. row: 16 bytes that name the key (zero: not sealed), then the row, sealed,
-- as refused messages may name people.
CREATE TABLE rejected (
  id  INTEGER PRIMARY KEY,
  row BLOB NOT NULL
);
