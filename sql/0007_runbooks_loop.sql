-- Up Migration

ALTER TABLE runs
  ADD COLUMN state_since   timestamptz NOT NULL DEFAULT now(), -- updated_at also moves with progress inside a state
  ADD COLUMN look_at       timestamptz          DEFAULT now(), -- the sweep's next look; NULL: only when told (a job, an answer)
  ADD COLUMN rule          jsonb,                              -- the policy's line that matched, with its key
  ADD COLUMN policy_sha256 text,
  ADD COLUMN preflight     jsonb,                              -- findings shown to the approver; no part of plan_hash
  ADD COLUMN progress      jsonb       NOT NULL DEFAULT '{}',  -- what an action has done so far
  ADD COLUMN rollback      text,                               -- how a person takes it back
  ADD COLUMN requested_by  text,                               -- the person who started or re-ran it; NULL: an alert
  ADD COLUMN retry_of      text REFERENCES runs (id),
  ADD COLUMN sources       text[]      NOT NULL DEFAULT '{}';  -- every sender whose alert is part of it
UPDATE runs SET state_since = updated_at, look_at = updated_at;
CREATE INDEX runs_due ON runs (look_at) WHERE finished_at IS NULL;

-- People's "stop": for everything, a namespace, or an app. A row whose `until` has passed no longer counts.
CREATE TABLE kill_switches (
  scope   text PRIMARY KEY, -- '*', '<namespace>' or '<namespace>/<app>'
  by_whom text        NOT NULL,
  reason  text        NOT NULL,
  at      timestamptz NOT NULL DEFAULT now(),
  until   timestamptz
);

-- Signed requests that were taken, so that nobody can send them again while their signature is still fresh.
CREATE TABLE seen_requests (
  key_sha256 text PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
CREATE INDEX seen_requests_expired ON seen_requests (expires_at);

-- One row per audit row of a run: what the channels have to be told. A cursor over the audit table would wait for every
-- open transaction of the server, and an approval must not.
CREATE TABLE runbooks_notices (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id        text        NOT NULL,
  audit_id      bigint      NOT NULL,
  event         text        NOT NULL,
  at            timestamptz NOT NULL DEFAULT now(),
  fanned_out_at timestamptz
);
CREATE INDEX runbooks_notices_waiting ON runbooks_notices (id) WHERE fanned_out_at IS NULL;
