-- Up Migration

-- Trained forests: flat typed arrays, never code. The newest row is the one in use.
CREATE TABLE aiops_models (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schema_version integer     NOT NULL,
  sha256         text        NOT NULL UNIQUE,
  seed           bigint      NOT NULL,
  trained_at     timestamptz NOT NULL,
  trees          bytea       NOT NULL,
  parameters     jsonb       NOT NULL DEFAULT '{}',
  created_at     timestamptz NOT NULL DEFAULT now()
);

-- One row per published episode of a series. `evidence` holds all that the detector needs to go on after a restart.
CREATE TABLE aiops_anomalies (
  id                    text PRIMARY KEY,
  metric                text             NOT NULL,
  expr                  text             NOT NULL,
  series                text             NOT NULL,
  labels                jsonb            NOT NULL,
  namespace             text             NOT NULL DEFAULT '',
  app                   text             NOT NULL DEFAULT '',
  reason                text             NOT NULL CHECK (reason IN ('level_shift', 'volatility_spike', 'trend_break',
                                           'percent_change', 'drop_to_zero', 'absent')),
  direction             text             NOT NULL CHECK (direction IN ('up', 'down')),
  severity              text             NOT NULL,
  opened_at             timestamptz      NOT NULL,
  last_seen_at          timestamptz      NOT NULL,
  closed_at             timestamptz,
  close_cause           text CHECK (close_cause IN ('recovered', 'new_normal_accepted', 'absent')),
  score                 double precision NOT NULL,
  value                 double precision NOT NULL,
  baseline              double precision NOT NULL,
  delta                 double precision NOT NULL,
  percent_change        double precision,
  zscores               jsonb            NOT NULL,
  sparkline             text             NOT NULL,
  evidence              jsonb            NOT NULL,
  model_sha256          text,
  published_at          timestamptz, -- when the webhook took the alert
  resolved_published_at timestamptz, -- when it took the news of its end
  created_at            timestamptz      NOT NULL DEFAULT now(),
  CHECK ((closed_at IS NULL) = (close_cause IS NULL))
);
CREATE UNIQUE INDEX aiops_anomalies_open ON aiops_anomalies (metric, series) WHERE closed_at IS NULL;
CREATE INDEX aiops_anomalies_by_opening ON aiops_anomalies (opened_at DESC);
CREATE INDEX aiops_anomalies_undelivered ON aiops_anomalies (opened_at)
  WHERE published_at IS NULL OR (closed_at IS NOT NULL AND resolved_published_at IS NULL);

-- Up to which step a metric was evaluated: a restart evaluates what came later, and raises nothing twice.
CREATE TABLE aiops_progress (
  metric          text PRIMARY KEY,
  expr            text        NOT NULL,
  evaluated_until timestamptz NOT NULL
);
