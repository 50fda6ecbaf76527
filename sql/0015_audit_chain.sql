-- Up Migration

-- Each row holds the hash of the one before it in its chain, so that a row that is changed, taken away or put in between is
-- found (fettle audit verify). A chain is a run; rows without a run are chained by transaction: with one chain for all of
-- them every delivery would wait for the one before it. NULL: the row is older than the chain.
ALTER TABLE runbooks_audit
  ADD COLUMN chain     text COLLATE "C",
  ADD COLUMN chain_row bigint, -- its place in the chain, from 1
  ADD COLUMN prev_hash text,   -- NULL in a chain's first row
  ADD COLUMN hash      text;
CREATE UNIQUE INDEX runbooks_audit_chain ON runbooks_audit (chain, chain_row);
CREATE INDEX runbooks_audit_unchained ON runbooks_audit (id) WHERE chain IS NULL OR chain_row IS NULL OR hash IS NULL;

-- The end of each chain: the lock under which its next row is made, and the proof that its last rows are still there.
CREATE TABLE audit_heads (
  chain      text COLLATE "C" PRIMARY KEY,
  rows       bigint      NOT NULL,
  prev_hash  text,
  hash       text        NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_at    timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 70); -- a run's dozen updates stay on the page

-- SHA-256 of a row's columns as a JSON array of texts, which is unambiguous and which any language can write:
-- docs/audit.md. A column that is added later is not part of it.
CREATE FUNCTION audit_row_hash(a runbooks_audit, chain_row bigint, prev_hash text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN encode(sha256(convert_to(json_build_array(
    a.chain, chain_row::text, prev_hash, a.id::text, a.xid::text,
    CASE WHEN isfinite(a.ts) THEN (extract(epoch FROM a.ts) * 1000000)::bigint::text ELSE a.ts::text END,
    a.run_id, a.event, a.actor, a.namespace, a.app, a.target, a.action, a.detail::text, a.correlation_id, a.trace_id
  )::text, 'UTF8')), 'hex');
END $$;

-- What was there before the chain: how many rows up to which id, and the SHA-256 of their hashes in the order of their ids.
CREATE TABLE audit_chain_start (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  at       timestamptz NOT NULL DEFAULT now(),
  last_id  bigint      NOT NULL,
  rows     bigint      NOT NULL,
  sha256   text        NOT NULL
);
INSERT INTO audit_chain_start (last_id, rows, sha256)
SELECT coalesce(max(id), 0), count(*),
       encode(sha256(coalesce(string_agg(convert_to(audit_row_hash(a, NULL, NULL), 'UTF8'), '' ORDER BY id), '')), 'hex')
  FROM runbooks_audit a;

-- With the owner's rights, so that the services' role can be refused any other write to the heads.
CREATE FUNCTION chain_audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  -- Blocks of 256: the versions of a head that one transaction makes pile up until it ends, and each row reads them all.
  NEW.chain := coalesce(NEW.run_id, 'tx:' || NEW.xid || ':' || NEW.id / 256);
  INSERT INTO audit_heads AS head (chain, rows, hash) VALUES (NEW.chain, 1, audit_row_hash(NEW, 1, NULL))
      ON CONFLICT (chain) DO UPDATE
     SET rows = head.rows + 1, prev_hash = head.hash, hash = audit_row_hash(NEW, head.rows + 1, head.hash),
         last_at = clock_timestamp()
  RETURNING rows, prev_hash, hash INTO NEW.chain_row, NEW.prev_hash, NEW.hash;
  RETURN NEW;
END $$;
-- Temporary tables come last: nobody may put a table of his own in the heads' place.
DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION chain_audit_row() SET search_path = %I, pg_temp', current_schema());
END $$;
CREATE TRIGGER runbooks_audit_chain BEFORE INSERT ON runbooks_audit FOR EACH ROW EXECUTE FUNCTION chain_audit_row();

CREATE TRIGGER audit_heads_keep BEFORE DELETE ON audit_heads FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_heads_no_truncate BEFORE TRUNCATE ON audit_heads FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_chain_start_keep BEFORE UPDATE OR DELETE ON audit_chain_start
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_chain_start_no_truncate BEFORE TRUNCATE ON audit_chain_start
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the service found when it looked through all chains; a row without an end is a look that goes on.
CREATE TABLE audit_checks (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  started_at  timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  rows        bigint,
  chains      bigint,
  problems    jsonb
);

-- Every few minutes: a Merkle tree (RFC 6962) over the note before and the hashes of the rows since, signed where a key is
-- configured. Whole chains that vanish with their heads, and chains that were computed anew, do not fit any more.
CREATE TABLE audit_checkpoints (
  number   bigint PRIMARY KEY,
  at       timestamptz NOT NULL DEFAULT now(),
  last_id  bigint      NOT NULL, -- it covers the rows behind the last one's up to this id
  rows     bigint      NOT NULL,
  root     text        NOT NULL, -- base64
  note     text        NOT NULL
);
CREATE TRIGGER audit_checkpoints_append_only BEFORE UPDATE OR DELETE ON audit_checkpoints
  FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_checkpoints_no_truncate BEFORE TRUNCATE ON audit_checkpoints
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A run that a person started again only to see what would happen.
ALTER TABLE runs ADD COLUMN dry_run boolean NOT NULL DEFAULT false;
