-- Up Migration

-- Found by reading the plans of a webhook with 14,000 alerts: without these each alert scans the tables.
CREATE INDEX episodes_by_alert ON episodes (source, fingerprint, resolved_at);
CREATE INDEX runs_by_target ON runs (target_key, runbook, created_at DESC);
CREATE INDEX approvals_by_run ON approvals (run_id, created_at DESC);

-- An alert that came while its target was left alone after a run: looked at again at this time, if it still fires.
ALTER TABLE episodes ADD COLUMN admit_at timestamptz;
ALTER TABLE episodes ADD COLUMN truncated boolean NOT NULL DEFAULT false;
CREATE INDEX episodes_to_admit ON episodes (admit_at) WHERE admit_at IS NOT NULL AND resolved_at IS NULL;
