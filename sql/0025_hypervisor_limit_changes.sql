-- Up Migration

-- Containers whose limits are being changed: until the backend has them they count for the quota.
CREATE TABLE hypervisor_limit_changes (
  object       text COLLATE "C" PRIMARY KEY, -- project/container
  project      text        NOT NULL,
  cpus         double precision,
  memory_bytes double precision,
  expires_at   timestamptz NOT NULL -- of a process that was killed meanwhile
);
CREATE INDEX hypervisor_limit_changes_by_project ON hypervisor_limit_changes (project);
