-- Up Migration

ALTER TABLE inbox ADD COLUMN flags text[] NOT NULL DEFAULT '{}'; -- what was odd about a body that was taken all the same

ALTER TABLE episodes
  ADD COLUMN last_starts_at   timestamptz,                -- the latest start that was told: a resolved from before it is old news
  ADD COLUMN group_key_sha256 text,                       -- the group of its latest delivery; NULL when the sender has none
  ADD COLUMN opened           integer NOT NULL DEFAULT 1, -- how often this alert has fired, this time included
  ADD COLUMN resolved_by      text;                       -- 'sender', 'newer' (the end was never told) or 'reconcile'
UPDATE episodes SET last_starts_at = first_starts_at;
ALTER TABLE episodes ALTER COLUMN last_starts_at SET NOT NULL;

-- A sender's group of alerts. While it is cut nobody knows its extent, and nothing is done about its alerts.
CREATE TABLE alert_groups (
  source       text        NOT NULL,
  key_sha256   text        NOT NULL,
  truncated_at timestamptz, -- NULL: the latest delivery was whole
  seen_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (source, key_sha256)
);

CREATE INDEX episodes_by_group ON episodes (source, group_key_sha256) WHERE resolved_at IS NULL AND run_id IS NOT NULL;
CREATE INDEX episodes_by_start ON episodes (first_starts_at);
-- For what is deleted by its age.
CREATE INDEX inbox_processed ON inbox (processed_at) WHERE processed_at IS NOT NULL;
CREATE INDEX episodes_resolved ON episodes (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX alert_groups_seen ON alert_groups (seen_at);
