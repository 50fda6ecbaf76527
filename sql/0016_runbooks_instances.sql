-- Up Migration

-- The processes of the runbooks service that run now, so that people see who does what, and whose clock is wrong.
CREATE TABLE instances (
  id         text PRIMARY KEY,
  role       text        NOT NULL CHECK (role IN ('receiver', 'executor', 'both')),
  host       text        NOT NULL,
  pid        integer     NOT NULL,
  version    text        NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at    timestamptz NOT NULL DEFAULT now(),
  skew_ms    integer     NOT NULL -- its clock less the database's; what the round trip explains is left out
);
