-- Up Migration

-- What the pages look for, page by page from the newest.
CREATE INDEX runs_by_state ON runs (state, created_at DESC, id DESC);
CREATE INDEX runs_by_age ON runs (created_at DESC, id DESC); -- the order of the list, with nothing left to sort
DROP INDEX runs_newest;
CREATE INDEX approvals_by_age ON approvals (created_at DESC, id DESC);
CREATE INDEX approvals_open ON approvals (expires_at, id) WHERE state = 'pending';
CREATE INDEX runbooks_audit_by_time ON runbooks_audit (ts);
CREATE INDEX runbooks_audit_by_event ON runbooks_audit (event, id);
CREATE INDEX runbooks_audit_by_actor ON runbooks_audit (actor, id);
CREATE INDEX runbooks_audit_by_app ON runbooks_audit (namespace, app, id);

-- Backtests that people started on a page; the newest of them are kept.
CREATE TABLE policy_backtests (
  id         text PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now(),
  by_whom    text        NOT NULL,
  days       integer     NOT NULL,
  policy     text        NOT NULL, -- as it was pasted
  report     jsonb       NOT NULL
);
CREATE INDEX policy_backtests_by_age ON policy_backtests (created_at DESC, id DESC);
