import type { Database, Queryable } from "../../lib/postgres.ts";
import { digest, digestShown, SHOWN, SHOWN_MAX } from "./outbox-digest.ts";
import { settleUnneeded } from "./outbox-unneeded.ts";
import { keepMessage, setPace, shownOf } from "./outbox-message.ts";
import type {
  ChannelName,
  Letter,
  LetterKind,
  LetterResult,
  Outbox,
  Sent,
  ShownMessage,
} from "../types/notice.ts";

/** Three times what a post may take: who holds a letter longer is dead. */
const LEASE = "30 seconds";
/** A run's message is edited no more often. */
const EDIT_PACE = "3 seconds";
/** A letter of a channel that is configured nowhere any more is given up an hour later than its own sender would. */
const ABANDONED = "25 hours";
const KEPT = "7 days";

/** The durable outbox (sql/0013_runbooks_notify.sql), shared by all replicas. Times are the database's. */
export function openOutboxTable(database: Database): Outbox {
  return {
    take: async (channel) => database.inTransaction(async (tx) => take(tx, channel)),
    posting: async ({ runId }, channel) => {
      await database.query(
        "INSERT INTO runbooks_messages (run_id, channel) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [runId, channel],
      );
    },
    settle: async (letter, channel, result, sent) =>
      database.inTransaction(async (tx) => settle(tx, letter, channel, { result, sent })),
    retry: async (letter, channel, again) =>
      database.inTransaction(async (tx) => {
        await tx.query(
          `UPDATE runbooks_outbox SET lease_until = NULL, next_at = now() + $2 * interval '1 millisecond', last_error = $3
            WHERE id = $1 AND result IS NULL`,
          [letter.id, again.afterMs, again.error.slice(0, 500)],
        );
        await tx.query(
          `UPDATE runbooks_channels SET failing_since = coalesce(failing_since, now()),
                  next_at = greatest(next_at, now() + $2 * interval '1 millisecond') WHERE channel = $1`,
          [channel, again.pauseMs],
        );
        if (again.certain) await forgetUnposted(tx, letter, channel);
      }),
    digest: async (channel) => digest(database, channel),
    digestShown: async (channel, digest, sent) => digestShown(database, channel, digest, sent),
    oldest: async () => {
      const { rows } = await database.query<{ channel: string; seconds: number }>(
        `SELECT channel, extract(epoch FROM now() - min(created_at))::float8 AS seconds
           FROM runbooks_outbox WHERE result IS NULL AND event <> 'reminder' AND NOT fallback GROUP BY channel`,
      );
      return new Map(rows.map(({ channel, seconds }) => [channel, seconds]));
    },
    sweep: async () => sweep(database),
  };
}

/** The channel's row is the lock: one letter at a time, at the channel's pace, whatever the number of replicas. */
async function take(tx: Queryable, channel: ChannelName): Promise<Letter | undefined> {
  await tx.query("INSERT INTO runbooks_channels (channel) VALUES ($1) ON CONFLICT DO NOTHING", [
    channel,
  ]);
  const { rowCount: ready } = await tx.query(
    "SELECT 1 FROM runbooks_channels WHERE channel = $1 AND next_at <= now() FOR UPDATE SKIP LOCKED",
    [channel],
  );
  if (ready === 0) return undefined;
  await settleUnneeded(tx, channel);
  const { rows } = await tx.query<LetterRow>(
    `WITH taken AS (
       UPDATE runbooks_outbox SET lease_until = now() + interval '${LEASE}', attempts = attempts + 1
        WHERE id = (SELECT o.id FROM runbooks_outbox o
                      LEFT JOIN runbooks_messages m ON m.run_id = o.run_id AND m.channel = o.channel
                     WHERE o.channel = $1 AND ${TAKEABLE} ORDER BY o.kind = 'thread', o.id LIMIT 1)
        RETURNING *)
     SELECT t.id, t.kind, t.run_id, t.event, t.attempts, a.actor, a.detail, a.ts AS at,
            (extract(epoch FROM now() - t.created_at) * 1000)::float8 AS age_ms,
            m.run_id IS NOT NULL AS has_message, m.remote_id, m.remote_channel, m.rendered_sha256
       FROM taken t JOIN runbooks_audit a ON a.id = t.audit_id
       LEFT JOIN runbooks_messages m ON m.run_id = t.run_id AND m.channel = t.channel`,
    [channel],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  await setPace(tx, channel);
  return letterOf(row);
}

/**
 * SQL: what may be sent now. In a run and channel one letter is under way at a time. Events and thread lines keep their
 * order, except the reminder, which waits for its hour; a message only shows the newest state, and its first posting waits
 * while enough requests are shown. OFFSET 0 keeps the look at a run's other letters an index look each: joined, 10,000
 * letters of which the planner has no statistics yet took over 3 s (measured).
 */
const TAKEABLE = `o.result IS NULL AND o.next_at <= now() AND (o.lease_until IS NULL OR o.lease_until <= now())
  AND NOT EXISTS (
    SELECT FROM runbooks_outbox x WHERE x.run_id = o.run_id AND x.channel = o.channel AND x.id <> o.id AND x.result IS NULL
       AND (x.lease_until > now()
            OR o.kind <> 'message' AND x.kind = o.kind AND x.id < o.id AND x.event <> 'reminder') OFFSET 0)
  AND CASE o.kind
    WHEN 'message' THEN (m.sent_at IS NULL OR m.sent_at <= now() - interval '${EDIT_PACE}')
      AND (m.run_id IS NOT NULL OR ${SHOWN} < ${SHOWN_MAX}
           OR NOT EXISTS (SELECT FROM runs r WHERE r.id = o.run_id AND r.state = 'approval_pending'))
    WHEN 'thread' THEN m.remote_id IS NOT NULL
    ELSE true END`;

interface LetterRow {
  readonly id: string;
  readonly kind: LetterKind;
  readonly run_id: string;
  readonly event: string;
  readonly attempts: number;
  readonly actor: string;
  readonly detail: Letter["detail"];
  readonly at: Date;
  readonly age_ms: number;
  readonly has_message: boolean;
  readonly remote_id: string | null;
  readonly remote_channel: string | null;
  readonly rendered_sha256: string | null;
}

function letterOf(row: LetterRow): Letter {
  return {
    id: row.id,
    kind: row.kind,
    runId: row.run_id,
    event: row.event,
    actor: row.actor,
    detail: row.detail,
    at: row.at,
    attempts: row.attempts,
    ageMs: row.age_ms,
    shown: row.has_message ? shownOf(row) : undefined,
  };
}

async function settle(
  tx: Queryable,
  { id, runId }: Letter,
  channel: ChannelName,
  { result, sent }: { result: LetterResult; sent: Sent },
): Promise<void> {
  await tx.query(
    "UPDATE runbooks_outbox SET result = $2, sent_at = now(), lease_until = NULL WHERE id = $1 AND result IS NULL",
    [id, result],
  );
  await tx.query(
    // What needed no sending takes nobody's turn.
    `UPDATE runbooks_channels SET next_at = CASE $2 WHEN 'superseded' THEN now() ELSE next_at END, failing_since = CASE $2 WHEN 'delivered' THEN NULL WHEN 'superseded' THEN failing_since
              ELSE coalesce(failing_since, now()) END
      WHERE channel = $1`,
    [channel, result],
  );
  if (result === "refused" || result === "gave_up") await forgetUnposted(tx, { runId }, channel);
  if (sent?.message === undefined) return;
  await keepMessage(tx, runId, channel, sent);
  if (channel === "slack") await keepButtons(tx, runId, sent.message);
}

/** The message that was about to be posted certainly does not exist. */
async function forgetUnposted(
  tx: Queryable,
  { runId }: Pick<Letter, "runId">,
  channel: ChannelName,
): Promise<void> {
  await tx.query(
    "DELETE FROM runbooks_messages WHERE run_id = $1 AND channel = $2 AND remote_id IS NULL",
    [runId, channel],
  );
}

/** A click from any other place than this message is refused. */
async function keepButtons(
  tx: Queryable,
  runId: string,
  { remoteId, remoteChannel }: ShownMessage,
): Promise<void> {
  await tx.query(
    `UPDATE approvals SET channel = $2, message_ts = $3
      WHERE run_id = $1 AND (channel, message_ts) IS DISTINCT FROM ($2, $3)`,
    [runId, remoteChannel ?? null, remoteId ?? null],
  );
}

async function sweep(database: Queryable): Promise<void> {
  await database.query(
    `UPDATE runbooks_outbox SET result = 'gave_up', sent_at = now(), last_error = coalesce(last_error, 'nobody asked for it')
      WHERE result IS NULL AND created_at < now() - interval '${ABANDONED}'`,
  );
  for (const old of [
    `DELETE FROM runbooks_outbox WHERE id IN (SELECT id FROM runbooks_outbox
      WHERE result IS NOT NULL AND sent_at < now() - interval '${KEPT}' LIMIT 5000)`,
    `DELETE FROM runbooks_notices WHERE id IN (SELECT id FROM runbooks_notices
      WHERE fanned_out_at < now() - interval '${KEPT}' LIMIT 5000)`,
  ]) {
    await database.query(old);
  }
}
