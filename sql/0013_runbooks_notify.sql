-- Up Migration

-- What a channel has to be told. One row per notice and channel; what is said is composed when it is sent, from the run as
-- it is then.
CREATE TABLE runbooks_outbox (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  channel     text        NOT NULL,
  kind        text        NOT NULL CHECK (kind IN ('message', 'thread', 'event', 'digest')),
  run_id      text        NOT NULL,
  notice_id   bigint      NOT NULL,
  audit_id    bigint      NOT NULL,
  event       text        NOT NULL,
  fallback    boolean     NOT NULL DEFAULT false, -- only sent when the first channel has not shown the run by then
  dedup_key   text        NOT NULL UNIQUE,
  attempts    integer     NOT NULL DEFAULT 0,
  created_at  timestamptz NOT NULL DEFAULT now(),
  next_at     timestamptz NOT NULL DEFAULT now(),
  lease_until timestamptz,
  sent_at     timestamptz,
  result      text CHECK (result IN ('delivered', 'superseded', 'refused', 'gave_up')), -- NULL: waiting
  last_error  text
);
CREATE INDEX runbooks_outbox_waiting ON runbooks_outbox (channel, run_id, id) WHERE result IS NULL;
CREATE INDEX runbooks_outbox_by_run ON runbooks_outbox (run_id, channel, id);
CREATE INDEX runbooks_outbox_settled ON runbooks_outbox (sent_at) WHERE result IS NOT NULL;

-- The one message of a run in a channel that can edit. Written before it is posted: a row without remote_id says that a
-- message may exist of which nobody knows.
CREATE TABLE runbooks_messages (
  run_id          text NOT NULL,
  channel         text NOT NULL,
  remote_id       text,
  remote_channel  text,
  rendered_sha256 text,
  posted_at       timestamptz,
  sent_at         timestamptz,
  PRIMARY KEY (run_id, channel)
);
CREATE INDEX runbooks_messages_by_remote ON runbooks_messages (remote_channel, remote_id);

-- A channel's pace, shared by all replicas: its row is the lock under which the next letter is taken.
CREATE TABLE runbooks_channels (
  channel       text PRIMARY KEY,
  next_at       timestamptz NOT NULL DEFAULT now(),
  failing_since timestamptz
);
