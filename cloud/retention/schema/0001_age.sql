-- For how long this store was served, all runs together: by the monotonic clock, noted every few minutes. One row.
CREATE TABLE service_time(
  id INTEGER PRIMARY KEY CHECK(id = 1),
  served_ms BIGINT NOT NULL
);

-- What was the highest number of a series (positions of the bus, ids of the audit) when the store had been served for
-- served_ms; one a day. Rows up to `mark` are at least as old as that is long ago.
CREATE TABLE age_marks(
  series TEXT NOT NULL,
  served_ms BIGINT NOT NULL,
  mark BIGINT NOT NULL,
  PRIMARY KEY(series, served_ms)
);
