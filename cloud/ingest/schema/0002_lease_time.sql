-- Leases end by a clock that nobody can set: expires_ms and refused_ms are milliseconds on `timeline`, the name of the
-- process that wrote the row. Empty: by the wall clock of an earlier version; as a row of any earlier process, such a lease
-- ends a full term after the start.
ALTER TABLE leases ADD COLUMN timeline TEXT NOT NULL DEFAULT '';
