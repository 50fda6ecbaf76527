-- Up Migration

-- Long work and how far it is: the API's own operations, and workflows that workers tell of (kind 'workflow').
CREATE TABLE hypervisor_operations (
  id               text COLLATE "C" PRIMARY KEY,
  kind             text        NOT NULL, -- the audit action of an operation: ContainerCreated, SnapshotCreated, …
  object           text,                 -- project/container that it has to itself; NULL for a worker's
  resource_type    text        NOT NULL,
  resource_id      text        NOT NULL,
  project          text,
  organization     text,                 -- whose people see it; NULL: the platform's
  actor            text        NOT NULL,
  ip               text        NOT NULL,
  token            text,
  correlation_id   text,
  summary          text        NOT NULL,
  facts            jsonb,
  work             jsonb,                -- what is to be done, until it has ended: it may hold a container's environment
  schedule_id      text,                 -- of a snapshot that a schedule asked for
  status           text        NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled')),
  percent_complete real        NOT NULL DEFAULT 0 CHECK (percent_complete BETWEEN 0 AND 100),
  message          text        NOT NULL DEFAULT '',
  step             text,
  result           jsonb,
  error            text,
  updates          bigint      NOT NULL DEFAULT 0, -- lines of its history so far
  owner            text,                 -- the process that does it
  epoch            bigint      NOT NULL DEFAULT 0, -- grows with each claim; what an older claim writes is refused
  expires_at       timestamptz,          -- of the owner's lease
  created_at       timestamptz NOT NULL DEFAULT now(),
  started_at       timestamptz,
  updated_at       timestamptz NOT NULL DEFAULT now(),
  ended_at         timestamptz
);
-- One operation at a time for a container; a name that is to be made counts as one.
CREATE UNIQUE INDEX hypervisor_operations_alone ON hypervisor_operations (object)
  WHERE object IS NOT NULL AND status IN ('pending', 'in_progress');
CREATE INDEX hypervisor_operations_open ON hypervisor_operations (id) WHERE status IN ('pending', 'in_progress');
CREATE INDEX hypervisor_operations_ended ON hypervisor_operations (kind, ended_at DESC) WHERE status = 'completed';
CREATE INDEX hypervisor_operations_by_age ON hypervisor_operations (ended_at);

CREATE TABLE hypervisor_progress (
  operation_id     text COLLATE "C" NOT NULL REFERENCES hypervisor_operations (id) ON DELETE CASCADE,
  line             bigint      NOT NULL,
  at               timestamptz NOT NULL DEFAULT now(),
  status           text        NOT NULL,
  percent_complete real        NOT NULL,
  message          text        NOT NULL,
  step             text,
  PRIMARY KEY (operation_id, line)
);
