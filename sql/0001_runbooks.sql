-- Up Migration

-- What was delivered, stored before it is answered. `content` is the readable form; `raw` are the sender's bytes.
CREATE TABLE inbox (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source         text        NOT NULL,
  body_sha256    text        NOT NULL,
  raw            bytea       NOT NULL,
  content        jsonb,
  alerts         integer     NOT NULL DEFAULT 0,
  deliveries     integer     NOT NULL DEFAULT 1,
  correlation_id text,
  traceparent    text,
  received_at    timestamptz NOT NULL DEFAULT now(),
  processed_at   timestamptz,
  error          text, -- why it was quarantined or could not be processed
  UNIQUE (source, body_sha256)
);
CREATE INDEX inbox_waiting ON inbox (id) WHERE processed_at IS NULL;

-- One incident of one alert: from its first firing to its resolved. `startsAt` may move back; this identity does not.
CREATE TABLE episodes (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  source          text        NOT NULL,
  fingerprint     text        NOT NULL,
  labels          jsonb       NOT NULL,
  annotations     jsonb       NOT NULL,
  first_starts_at timestamptz NOT NULL,
  last_seen_at    timestamptz NOT NULL DEFAULT now(),
  resolved_at     timestamptz,
  run_id          text
);
CREATE UNIQUE INDEX episodes_open ON episodes (source, fingerprint) WHERE resolved_at IS NULL;
CREATE INDEX episodes_by_run ON episodes (run_id);

-- One remediation of one target by one runbook, from the first alert to its end.
CREATE TABLE runs (
  id             text PRIMARY KEY,
  target_key     text        NOT NULL,
  runbook        text        NOT NULL,
  state          text        NOT NULL,
  namespace      text        NOT NULL,
  app            text        NOT NULL,
  trigger        jsonb       NOT NULL, -- the alert that opened the run
  plan           jsonb,
  plan_hash      text,
  decision       jsonb,                -- the whole input and output of decide(), for replays
  outcome        text,                 -- one sentence for people, once it has ended
  lease_owner    text,
  lease_token    bigint      NOT NULL DEFAULT 0, -- the fence: a write with an old token hits no row
  lease_until    timestamptz,
  deadline_at    timestamptz NOT NULL,
  correlation_id text,
  traceparent    text,
  created_at     timestamptz NOT NULL DEFAULT now(),
  updated_at     timestamptz NOT NULL DEFAULT now(),
  finished_at    timestamptz
);
CREATE UNIQUE INDEX runs_active ON runs (target_key, runbook) WHERE finished_at IS NULL;
CREATE INDEX runs_unfinished ON runs (lease_until) WHERE finished_at IS NULL;
CREATE INDEX runs_newest ON runs (created_at DESC);

-- A breaker's row is the lock under which its slots are counted and taken.
CREATE TABLE breakers (
  app_key   text PRIMARY KEY,
  state     text        NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open')),
  reason    text,
  opened_at timestamptz
);
CREATE TABLE breaker_slots (
  run_id   text        NOT NULL PRIMARY KEY REFERENCES runs (id),
  app_key  text        NOT NULL REFERENCES breakers (app_key),
  taken_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX breaker_slots_by_app ON breaker_slots (app_key, taken_at);

CREATE TABLE approvals (
  id          text PRIMARY KEY,
  run_id      text        NOT NULL REFERENCES runs (id),
  plan_hash   text        NOT NULL,
  state       text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
  created_at  timestamptz NOT NULL DEFAULT now(),
  expires_at  timestamptz NOT NULL,
  decided_by  text,
  decided_via text,
  decided_at  timestamptz,
  reason      text
);
CREATE UNIQUE INDEX approvals_pending ON approvals (run_id) WHERE state = 'pending';

-- The record. (xid, id) is a gap-free order for readers: rows of finished transactions only ever appear behind a cursor
-- that stays below pg_snapshot_xmin(pg_current_snapshot()).
CREATE TABLE runbooks_audit (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
  ts             timestamptz NOT NULL DEFAULT clock_timestamp(),
  run_id         text,
  event          text        NOT NULL,
  actor          text        NOT NULL,
  namespace      text,
  app            text,
  target         text,
  action         text,
  detail         jsonb       NOT NULL DEFAULT '{}',
  correlation_id text,
  trace_id       text
);
CREATE INDEX runbooks_audit_order ON runbooks_audit (xid, id);
CREATE INDEX runbooks_audit_by_run ON runbooks_audit (run_id, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER runbooks_audit_append_only BEFORE UPDATE OR DELETE ON runbooks_audit
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER runbooks_audit_no_truncate BEFORE TRUNCATE ON runbooks_audit
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
