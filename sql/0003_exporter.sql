-- Up Migration

-- One export of the audit table. Its range and name are committed before the first byte is read, so a run that was killed
-- is finished under the same name with the same rows.
CREATE TABLE audit_exports (
  export_id         uuid        PRIMARY KEY,
  state             text        NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'built', 'uploaded', 'done')),
  file_name         text        NOT NULL UNIQUE, -- in the clear; stored_name is what destinations see
  stored_name       text        NOT NULL,
  formula           text        NOT NULL CHECK (formula IN ('escape', 'off')),
  system_identifier text,                        -- of the cluster: transaction ids mean nothing in another one
  after_xid         xid8,                        -- the rows behind (after_xid, after_id); null: from the first row
  after_id          bigint,
  horizon_xid       xid8        NOT NULL,        -- and of transactions below this one, all of which have ended
  last_xid          xid8        NOT NULL,        -- the last row of the range: where the next export starts
  last_id           bigint      NOT NULL,
  cutoff            timestamptz NOT NULL,
  rows              bigint,
  created_at        timestamptz NOT NULL DEFAULT now(),
  done_at           timestamptz,
  CHECK ((after_xid IS NULL) = (after_id IS NULL))
);
CREATE UNIQUE INDEX audit_exports_one_open ON audit_exports ((true)) WHERE state <> 'done';
CREATE INDEX audit_exports_cursor ON audit_exports (last_xid DESC, last_id DESC) WHERE state = 'done';

-- Every file that was built for an export. Encrypting again gives other bytes, so a destination may hold an earlier one.
CREATE TABLE audit_export_builds (
  export_id        uuid        NOT NULL REFERENCES audit_exports,
  file_name        text        NOT NULL,
  sha256           text        NOT NULL,
  bytes            bigint      NOT NULL,
  plaintext_sha256 text        NOT NULL,
  plaintext_bytes  bigint      NOT NULL,
  rows             bigint      NOT NULL,
  built_at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (export_id, file_name, sha256)
);

-- What each destination holds, and how we know.
CREATE TABLE audit_export_receipts (
  export_id   uuid        NOT NULL REFERENCES audit_exports,
  destination text        NOT NULL,
  file_name   text        NOT NULL,
  location    text        NOT NULL,
  sha256      text        NOT NULL,
  bytes       bigint      NOT NULL,
  verified_by text        NOT NULL,
  adopted     boolean     NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (export_id, destination, file_name)
);
