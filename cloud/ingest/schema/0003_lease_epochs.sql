-- The running epoch of who holds the lease with its ordinal, and those that another one took it from, newest first, separated
-- by spaces: a box never goes back to one of them, so that who does is a second one.
ALTER TABLE leases ADD COLUMN epoch TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN ordinal BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN left_behind TEXT NOT NULL DEFAULT '';
