import type { Database, Queryable } from "../../lib/postgres.ts";
import type { Channel, ChannelName } from "../types/notice.ts";

/** Rows of one round; the next round follows at once while there are more. */
const BATCH = 100;
/** pg_advisory locks are one number for the whole database; these digits are "notices" on a phone's keys. */
const LOCK = 6_684_237;
/** How long the first channel may fail before another one is told. */
const FALLBACK_AFTER = "2 minutes";

export interface FanOut {
  readonly channels: readonly Channel[];
  /** Told only what the first channel could not be told for two minutes. */
  readonly fallbacks: ReadonlySet<ChannelName>;
}

/**
 * Turns notices into one letter per channel that wants it, and returns how many notices there were. One replica at a time:
 * a run's letters must be in the order of its audit rows.
 */
export async function fanOut({ channels, fallbacks }: FanOut, database: Database): Promise<number> {
  return database.inTransaction(async (tx) => {
    const { rows: lock } = await tx.query<{ locked: boolean }>(
      "SELECT pg_try_advisory_xact_lock($1) AS locked",
      [LOCK],
    );
    if (lock[0]?.locked !== true) return 0;
    const { rows: notices } = await tx.query<Notice>(
      `SELECT id, run_id, audit_id, event FROM runbooks_notices
        WHERE fanned_out_at IS NULL ORDER BY id LIMIT ${BATCH}`,
    );
    if (notices.length === 0) return 0;
    const letters = notices.flatMap((notice) => lettersOf(notice, { channels, fallbacks }));
    await insert(tx, letters);
    const asked = notices.filter(({ event }) => event === "approval_pending");
    await insertReminders(tx, asked, channels);
    await tx.query("UPDATE runbooks_notices SET fanned_out_at = now() WHERE id = ANY($1)", [
      notices.map(({ id }) => id),
    ]);
    return notices.length;
  });
}

interface Notice {
  readonly id: string;
  readonly run_id: string;
  readonly audit_id: string;
  readonly event: string;
}

interface NewLetter {
  readonly channel: ChannelName;
  readonly kind: string;
  readonly notice: Notice;
  readonly fallback: boolean;
}

function lettersOf(notice: Notice, { channels, fallbacks }: FanOut): readonly NewLetter[] {
  return channels.flatMap((channel) =>
    channel.kindsOf(notice.event).map((kind) => ({
      channel: channel.name,
      kind,
      notice,
      fallback: fallbacks.has(channel.name),
    })),
  );
}

async function insert(tx: Queryable, letters: readonly NewLetter[]): Promise<void> {
  const column = (value: (letter: NewLetter) => unknown) => letters.map(value);
  await tx.query(
    `INSERT INTO runbooks_outbox (channel, kind, run_id, notice_id, audit_id, event, fallback, dedup_key, next_at)
     SELECT channel, kind, run_id, notice_id, audit_id, event, fallback, channel || ':' || kind || ':' || notice_id,
            now() + CASE WHEN fallback THEN interval '${FALLBACK_AFTER}' ELSE interval '0' END
       FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::boolean[])
         WITH ORDINALITY AS letter (channel, kind, run_id, notice_id, audit_id, event, fallback, n)
      ORDER BY n
     ON CONFLICT (dedup_key) DO NOTHING`,
    [
      column(({ channel }) => channel),
      column(({ kind }) => kind),
      column(({ notice }) => notice.run_id),
      column(({ notice }) => notice.id),
      column(({ notice }) => notice.audit_id),
      column(({ notice }) => notice.event),
      column(({ fallback }) => fallback),
    ],
  );
}

/** Said once in the thread, at half time. */
async function insertReminders(
  tx: Queryable,
  notices: readonly Notice[],
  channels: readonly Channel[],
): Promise<void> {
  const names = channels
    .filter((channel) => channel.kindsOf("reminder").length > 0)
    .map(({ name }) => name);
  if (names.length === 0 || notices.length === 0) return;
  await tx.query(
    `INSERT INTO runbooks_outbox (channel, kind, run_id, notice_id, audit_id, event, dedup_key, next_at)
     SELECT told.channel, 'thread', n.run_id, n.id, n.audit_id, 'reminder', told.channel || ':reminder:' || n.id,
            now() + (a.expires_at - now()) / 2
       FROM unnest($1::text[]) AS told (channel), runbooks_notices n
       JOIN approvals a ON a.run_id = n.run_id AND a.state = 'pending'
      WHERE n.id = ANY($2)
     ON CONFLICT (dedup_key) DO NOTHING`,
    [names, notices.map(({ id }) => id)],
  );
}
