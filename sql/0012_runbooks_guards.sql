-- Up Migration

-- An action is counted under its target and under its app.
ALTER TABLE breaker_slots DROP CONSTRAINT breaker_slots_pkey, ADD PRIMARY KEY (run_id, app_key);
INSERT INTO breakers (app_key)
SELECT DISTINCT 'app:' || split_part(r.target_key, '/', 1) || '/' || r.namespace || '/' || r.app
  FROM breaker_slots s JOIN runs r ON r.id = s.run_id
ON CONFLICT DO NOTHING;
INSERT INTO breaker_slots (run_id, app_key, taken_at)
SELECT s.run_id, 'app:' || split_part(r.target_key, '/', 1) || '/' || r.namespace || '/' || r.app, s.taken_at
  FROM breaker_slots s JOIN runs r ON r.id = s.run_id
ON CONFLICT DO NOTHING;

ALTER TABLE breakers
  ADD COLUMN opened_by text,        -- a person, or 'fettle'
  ADD COLUMN closed_by text,
  ADD COLUMN closed_at timestamptz; -- runs that ended before it say nothing about the time after it

ALTER TABLE approvals
  ADD COLUMN quorum     integer NOT NULL DEFAULT 1 CHECK (quorum BETWEEN 1 AND 10),
  ADD COLUMN approvers  text[]  NOT NULL DEFAULT '{}', -- as they were asked; who may answer is looked up at each answer
  ADD COLUMN channel    text,                          -- where the buttons are: a click from elsewhere is refused
  ADD COLUMN message_ts text,
  ADD COLUMN team_id    text;

-- One answer per person, however many accounts and clicks.
CREATE TABLE approval_votes (
  approval_id text        NOT NULL REFERENCES approvals (id),
  person      text        NOT NULL,
  account     text        NOT NULL,
  verdict     text        NOT NULL CHECK (verdict IN ('approved', 'rejected')),
  via         text        NOT NULL,
  reason      text,
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (approval_id, person)
);
INSERT INTO approval_votes (approval_id, person, account, verdict, via, reason, at)
SELECT id, decided_by, decided_by, state, coalesce(decided_via, 'page'), reason, decided_at
  FROM approvals WHERE state IN ('approved', 'rejected') AND decided_by IS NOT NULL AND decided_at IS NOT NULL;
