-- Up Migration

-- A series whose target is down is named apart from one that only vanished.
ALTER TABLE aiops_anomalies DROP CONSTRAINT aiops_anomalies_reason_check;
ALTER TABLE aiops_anomalies ADD CONSTRAINT aiops_anomalies_reason_check CHECK (reason IN ('level_shift',
  'volatility_spike', 'trend_break', 'percent_change', 'drop_to_zero', 'absent', 'stale_scrape'));

-- What /anomalies/:id/verify needs to ask the same question again; null in rows of an older program.
ALTER TABLE aiops_anomalies ADD COLUMN step_ms bigint, ADD COLUMN history_from timestamptz;
CREATE INDEX aiops_anomalies_by_metric ON aiops_anomalies (metric, opened_at DESC);

-- What is still to be said, to whom. A row is written in the transaction that opens or closes the episode, taken by
-- one process at a time (next_at is its lease), and settled once.
CREATE TABLE aiops_outbox (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  channel     text        NOT NULL,
  anomaly_id  text        NOT NULL REFERENCES aiops_anomalies (id) ON DELETE CASCADE,
  status      text        NOT NULL CHECK (status IN ('firing', 'resolved')),
  traceparent text,
  attempts    integer     NOT NULL DEFAULT 0,
  created_at  timestamptz NOT NULL DEFAULT now(),
  next_at     timestamptz NOT NULL DEFAULT now(),
  settled_at  timestamptz,
  result      text CHECK (result IN ('delivered', 'refused', 'gave_up')),
  last_error  text,
  UNIQUE (channel, anomaly_id, status),
  CHECK ((settled_at IS NULL) = (result IS NULL))
);
CREATE INDEX aiops_outbox_due ON aiops_outbox (channel, next_at) WHERE settled_at IS NULL;
-- published_at and resolved_published_at stay as the time at which the first channel took the news.
DROP INDEX aiops_anomalies_undelivered;

-- What people said about an anomaly. Append-only: who changes their mind adds a row, the newest of a person counts.
CREATE TABLE aiops_labels (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  anomaly_id text        NOT NULL REFERENCES aiops_anomalies (id) ON DELETE CASCADE,
  label      text        NOT NULL CHECK (label IN ('false_positive', 'real', 'expected_change')),
  by         text        NOT NULL CHECK (length(by) BETWEEN 1 AND 200),
  note       text        CHECK (length(note) <= 2000),
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX aiops_labels_by_anomaly ON aiops_labels (anomaly_id, id);

-- What training leaves out: the time of every anomaly, unless the newest word about it is that it was none.
CREATE VIEW aiops_training_masks AS
SELECT a.id AS anomaly_id, a.metric, a.series, a.opened_at AS masked_from,
       coalesce(a.closed_at, 'infinity') AS masked_to, coalesce(said.label, 'unlabelled') AS cause
FROM aiops_anomalies a
LEFT JOIN LATERAL (
  SELECT label FROM aiops_labels WHERE anomaly_id = a.id ORDER BY id DESC LIMIT 1
) said ON true
WHERE said.label IS DISTINCT FROM 'false_positive';

-- Scored points. One partition per UTC day; a point that is written twice is one row too many, which training does not mind.
CREATE TABLE aiops_features (
  time     timestamptz      NOT NULL,
  metric   text             NOT NULL,
  series   text             NOT NULL,
  value    double precision NOT NULL,
  features real[]           NOT NULL,
  score    real             NOT NULL
) PARTITION BY RANGE (time);
CREATE INDEX aiops_features_by_series ON aiops_features (metric, series, time);

-- The services' role may not create tables: the owner of these two functions may. Both only ever touch partitions of
-- aiops_features, whose names they make themselves.
CREATE FUNCTION aiops_features_add_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  -- Two replicas at midnight: the second waits, then sees that it is there.
  PERFORM pg_advisory_xact_lock(7305010);
  IF to_regclass('aiops_features_' || to_char(day, 'YYYYMMDD')) IS NULL THEN
    EXECUTE format('CREATE TABLE %I PARTITION OF aiops_features FOR VALUES FROM (%L) TO (%L)',
      'aiops_features_' || to_char(day, 'YYYYMMDD'),
      day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
  END IF;
END $$;

CREATE FUNCTION aiops_features_drop_before(day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  partition text;
  dropped integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(7305010);
  FOR partition IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'aiops_features'::regclass AND c.relname ~ '^aiops_features_\d{8}$'
      AND right(c.relname, 8) < to_char(day, 'YYYYMMDD')
  LOOP
    EXECUTE format('DROP TABLE %I', partition);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION aiops_features_add_day(date), aiops_features_drop_before(date) FROM PUBLIC;
