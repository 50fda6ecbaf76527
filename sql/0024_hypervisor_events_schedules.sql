-- Up Migration

-- What happened, for people: equal events of a time are one row. They are forgotten after HYPERVISOR_EVENT_TTL_SECONDS; what must be
-- kept is in the audit log.
CREATE TABLE hypervisor_events (
  key          text COLLATE "C" PRIMARY KEY, -- SHA-256 of what makes events equal
  id           text        NOT NULL,
  organization text,                         -- NULL: the platform's own
  namespace    text        NOT NULL,
  type         text        NOT NULL CHECK (type IN ('Normal', 'Warning')),
  reason       text        NOT NULL,
  message      text        NOT NULL,
  component    text        NOT NULL,
  kind         text        NOT NULL,
  name         text        NOT NULL,
  username     text,                         -- who did it: an organization's user sees their own
  count        bigint      NOT NULL,
  first_at     timestamptz NOT NULL,
  last_at      timestamptz NOT NULL
);
CREATE INDEX hypervisor_events_by_time ON hypervisor_events (last_at DESC, key);

-- Snapshots by the clock, and which of them are kept.
CREATE TABLE hypervisor_schedules (
  id           text COLLATE "C" PRIMARY KEY,
  project      text        NOT NULL,
  container    text        NOT NULL,
  name         text        NOT NULL,
  cron         text        NOT NULL,
  time_zone    text        NOT NULL,
  enabled      boolean     NOT NULL DEFAULT true,
  keep         jsonb       NOT NULL, -- last, daily, weekly, monthly
  organization text,
  created_by   text        NOT NULL,
  version      bigint      NOT NULL DEFAULT 1,
  next_at      timestamptz,          -- NULL: never again, or not enabled
  prune_due    boolean     NOT NULL DEFAULT false,
  last_at      timestamptz,
  last_status  text,                 -- of its last operation
  last_error   text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (project, container, name)
);
CREATE INDEX hypervisor_schedules_due ON hypervisor_schedules (next_at) WHERE enabled;

-- The snapshots that schedules have asked for: only these are ever deleted by them.
CREATE TABLE hypervisor_scheduled_snapshots (
  schedule_id text COLLATE "C" NOT NULL REFERENCES hypervisor_schedules (id) ON DELETE CASCADE,
  snapshot    text        NOT NULL,
  state       text        NOT NULL CHECK (state IN ('asked', 'made', 'failed')),
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (schedule_id, snapshot)
);

-- What containers are made from again and again.
CREATE TABLE hypervisor_templates (
  name        text COLLATE "C" PRIMARY KEY,
  description text        NOT NULL DEFAULT '',
  spec        jsonb       NOT NULL,
  version     bigint      NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now()
);
