-- Up Migration

-- The diagnostics of a run, from the order to gather them to the place where they are kept.
CREATE TABLE collections (
  run_id      text PRIMARY KEY REFERENCES runs (id),
  object_key  text        NOT NULL, -- fixed: whoever starts again writes to the same place
  steps       jsonb       NOT NULL, -- as the runbook said when it was ordered
  state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'gathered', 'uploaded', 'failed')),
  created_at  timestamptz NOT NULL DEFAULT now(),
  gathered_at timestamptz,
  uploaded_at timestamptz,
  attempts    integer     NOT NULL DEFAULT 0,
  next_at     timestamptz,          -- when somebody looks again; NULL: nothing is left to do
  lease_token bigint      NOT NULL DEFAULT 0,
  lease_until timestamptz,
  bytes       bigint,               -- of the bundle as it is kept now
  sha256      text,
  index       jsonb,                -- what is in it
  held        bytea CHECK (octet_length(held) <= 262144), -- until a store has it, or for good when there is none
  location    text,
  link        text,                 -- whoever has it may read the bundle until link_until
  link_until  timestamptz,
  problem     text
);
CREATE INDEX collections_due ON collections (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX collections_waiting ON collections (created_at) WHERE state = 'waiting';
CREATE INDEX collections_held ON collections (created_at) WHERE held IS NOT NULL;
