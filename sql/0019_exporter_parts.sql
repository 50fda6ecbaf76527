-- Up Migration

-- A large export is cut into parts; the size is fixed with the plan, so that a resumed run cuts at the same rows.
ALTER TABLE audit_exports ADD COLUMN part_bytes bigint NOT NULL DEFAULT 2147483631;

-- The plaintext of a part: what every file that seals it must hold, and where the next part begins.
CREATE TABLE audit_export_parts (
  export_id        uuid        NOT NULL REFERENCES audit_exports,
  part             integer     NOT NULL CHECK (part > 0),
  rows             bigint      NOT NULL, -- of this part alone
  plaintext_bytes  bigint      NOT NULL,
  plaintext_sha256 text        NOT NULL,
  last_xid         xid8        NOT NULL,
  last_id          bigint      NOT NULL,
  tree_edge        text[],               -- the Merkle tree's right edge after this part; null: no manifest was wanted
  tree_size        bigint,
  last_part        boolean     NOT NULL,
  PRIMARY KEY (export_id, part),
  CHECK ((tree_edge IS NULL) = (tree_size IS NULL))
);

-- Signed manifests, each naming the hash of the one before: the chain that fettle verify follows.
CREATE TABLE audit_manifests (
  sequence   bigint      PRIMARY KEY CHECK (sequence > 0),
  export_id  uuid        NOT NULL UNIQUE REFERENCES audit_exports,
  file_name  text        NOT NULL,
  sha256     text        NOT NULL,
  note       text        NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Retention takes copies away; the row stays and says when.
ALTER TABLE audit_export_receipts ADD COLUMN deleted_at timestamptz;

-- Rehearsals: an old file, fetched from a destination and opened with one recipient's key.
CREATE TABLE audit_drills (
  recipient   text        NOT NULL,
  destination text        NOT NULL,
  last_ok_at  timestamptz NOT NULL,
  file_name   text        NOT NULL,
  PRIMARY KEY (recipient, destination)
);
