-- Up to here rows of bus_outbox were let go, the oldest first, after every publisher had them. One row, or none yet.
CREATE TABLE bus_trim(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  position BIGINT NOT NULL
);

-- The highest number that the store has given, whatever was let go since.
DROP VIEW last_position;
CREATE VIEW last_position(position) AS
  SELECT coalesce(max(position), 0) FROM
    (SELECT max(position) AS position FROM bus_outbox UNION ALL SELECT max(position) FROM bus_trim) AS given;
