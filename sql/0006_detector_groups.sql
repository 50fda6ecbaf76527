-- Up Migration

-- Who watches which metric. All series of a metric belong together: they are the group that one replica owns at a time.
-- The fence is `epoch`: it grows with each owner, and whoever writes for the group names the one that it was given.
CREATE TABLE aiops_groups (
  metric      text PRIMARY KEY,
  owner       text,               -- a replica's id; null once its owner has released it
  epoch       bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  CHECK ((owner IS NULL) = (lease_until IS NULL))
);

-- Replicas that were heard of lately, so that each knows its fair share.
CREATE TABLE aiops_replicas (
  id        text PRIMARY KEY,
  metrics   text[]      NOT NULL, -- what it is configured to watch
  joined_at timestamptz NOT NULL DEFAULT now(), -- since when it has been heard of without a pause
  seen_at   timestamptz NOT NULL DEFAULT now()
);
