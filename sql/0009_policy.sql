-- Up Migration

-- Every policy that was ever in force, so that a decision's version can be read years later.
CREATE TABLE policy_versions (
  sha256     text PRIMARY KEY,
  source     text        NOT NULL,
  document   jsonb       NOT NULL,
  first_seen timestamptz NOT NULL DEFAULT now(),
  changed_by text -- the person, when the source says so
);

-- What the executor reads now. The pages and the command line have no access to the cluster: they look here.
CREATE TABLE policy_state (
  id      integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
  sha256  text REFERENCES policy_versions (sha256), -- NULL: nothing could be read yet
  read_at timestamptz,                              -- when it was last read; too old means that nobody knows
  problem text                                      -- why it cannot be read, while it cannot
);

CREATE INDEX runs_by_namespace ON runs (namespace, created_at DESC);
