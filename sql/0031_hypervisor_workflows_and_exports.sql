-- Up Migration

-- A tenant's workflow is kept under organization/id, so that no tenant takes an id away from another.
ALTER TABLE hypervisor_progress
  DROP CONSTRAINT hypervisor_progress_operation_id_fkey,
  ADD CONSTRAINT hypervisor_progress_operation_id_fkey FOREIGN KEY (operation_id)
    REFERENCES hypervisor_operations (id) ON DELETE CASCADE ON UPDATE CASCADE;
UPDATE hypervisor_operations SET id = organization || '/' || id
  WHERE kind = 'workflow' AND organization IS NOT NULL;
CREATE INDEX hypervisor_operations_workflows ON hypervisor_operations (resource_id) WHERE kind = 'workflow';

-- What kind of work a worker's workflow is, for estimates.
ALTER TABLE hypervisor_operations ADD COLUMN work_kind text;
CREATE INDEX hypervisor_operations_work_ended ON hypervisor_operations (work_kind, ended_at DESC)
  WHERE work_kind IS NOT NULL AND status = 'completed';

-- Exports of snapshots that were finished, and what became of them.
CREATE TABLE hypervisor_snapshot_exports (
  id           text COLLATE "C" PRIMARY KEY, -- the operation's
  project      text        NOT NULL,
  container    text        NOT NULL,
  snapshot     text        NOT NULL,
  exported_by  text        NOT NULL,
  exported_at  timestamptz NOT NULL DEFAULT now(),
  place        text        NOT NULL, -- the store's name, such as s3://bucket/prefix
  folder       text        NOT NULL, -- in it
  location     text        NOT NULL, -- of the manifest, for people
  sha256       text        NOT NULL, -- of the manifest
  bytes        bigint      NOT NULL,
  tar_bytes    bigint      NOT NULL,
  parts        int         NOT NULL,
  deleting_at  timestamptz,          -- since then retention tries to delete it
  deleted_at   timestamptz
);
CREATE INDEX hypervisor_snapshot_exports_there ON hypervisor_snapshot_exports (place, project, container, id DESC)
  WHERE deleted_at IS NULL;
