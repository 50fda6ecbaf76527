import { sha256Hex } from "../lib/canonical.ts";
import { correlationId } from "../lib/correlation.ts";
import { failpoint } from "../lib/failpoint.ts";
import type { Database, Queryable } from "../lib/postgres.ts";
import { currentTraceparent } from "../lib/tracing.ts";
import { seenBefore } from "./seen-request.ts";
import type { Delivery, Enqueue } from "./types/intake.ts";

/** The receipt of a delivery. Alerts of a body that had come before count as duplicates. */
export interface Receipt {
  readonly id: string;
  readonly accepted: number;
  readonly duplicate: number;
}

/** The quarantined part of a body that could not be read; enough to see who sends what. */
const QUARANTINE_BYTES = 64 * 1024;

/** Longer than a signature stays fresh (5 minutes, either way). */
const SIGNATURE_SECONDS = 600;
/** Whoever repeats a body sooner tells nothing new: another member of a cluster, or a retry. */
const REPEAT_AFTER = "interval '30 seconds'";

/** Stores a delivery and the job that will look at it, in one transaction. When it returns, nothing can be lost any more. */
export async function storeDelivery(
  delivery: Delivery,
  database: Database,
  enqueue: Enqueue,
): Promise<Receipt> {
  const { frame } = delivery;
  const receipt = await database.inTransaction(async (tx) => {
    const stored = await insertDelivery(tx, delivery);
    const { id, isNew } = stored;
    const isCopy = await isCopyOfSigned(tx, delivery);
    if (isNew || (!isCopy && (await isToBeReadAgain(tx, stored, delivery))))
      await enqueue(tx, "runbooks-inbox", { inboxId: id });
    await failpoint("received-before-commit");
    const [accepted, duplicate] = isNew ? [frame.alerts.length, 0] : [0, frame.alerts.length];
    return { id, accepted, duplicate };
  });
  await failpoint("received-after-commit");
  return receipt;
}

interface Stored {
  readonly id: string;
  readonly isNew: boolean;
  /** An older program could not read the body. */
  readonly unread: boolean;
}

async function insertDelivery(
  tx: Queryable,
  { source, raw, frame, flags = [] }: Delivery,
): Promise<Stored> {
  const { rows } = await tx.query<{ id: string; deliveries: number; unread: boolean }>(
    `INSERT INTO inbox (source, body_sha256, raw, content, alerts, correlation_id, traceparent, flags)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (source, body_sha256) DO UPDATE SET deliveries = inbox.deliveries + 1
     RETURNING id, deliveries, content IS NULL AS unread`,
    [
      source,
      sha256Hex(raw),
      raw,
      JSON.stringify(frame),
      frame.alerts.length,
      correlationId() ?? null,
      currentTraceparent() ?? null,
      flags,
    ],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the inbox returned no row");
  return { id: row.id, isNew: row.deliveries === 1, unread: row.unread };
}

/** Whether this very signature had come before: a retry, or a stranger's copy. It is answered, and tells nothing. */
async function isCopyOfSigned(tx: Queryable, { signature }: Delivery): Promise<boolean> {
  return signature !== undefined && seenBefore(tx, `alerts ${signature}`, SIGNATURE_SECONDS);
}

/** A body that comes again later says that its alerts still fire, so it is looked at again: that opens nothing twice. */
async function isToBeReadAgain(
  tx: Queryable,
  { id, unread }: Stored,
  { raw, frame }: Delivery,
): Promise<boolean> {
  if (unread) {
    await tx.query(
      "UPDATE inbox SET processed_at = NULL, error = NULL, raw = $2, content = $3, alerts = $4 WHERE id = $1",
      [id, raw, JSON.stringify(frame), frame.alerts.length],
    );
    return true;
  }
  const { rowCount } = await tx.query(
    `UPDATE inbox SET processed_at = NULL
      WHERE id = $1 AND error IS NULL AND processed_at < now() - ${REPEAT_AFTER}`,
    [id],
  );
  return rowCount > 0;
}

/** Deliveries that nobody has looked at yet. */
export async function countWaiting(database: Queryable): Promise<number> {
  const { rows } = await database.query<{ waiting: number }>(
    "SELECT count(*)::int AS waiting FROM inbox WHERE processed_at IS NULL",
  );
  return rows[0]?.waiting ?? 0;
}

/** Keeps what could not be read, so that its sender's mistake can be found. */
export async function storeMalformed(
  {
    source,
    raw,
    problem,
  }: { readonly source: string; readonly raw: Buffer; readonly problem: string },
  database: Database,
): Promise<void> {
  await database.query(
    `INSERT INTO inbox (source, body_sha256, raw, correlation_id, processed_at, error)
     VALUES ($1, $2, $3, $4, now(), $5)
     ON CONFLICT (source, body_sha256) DO UPDATE SET deliveries = inbox.deliveries + 1`,
    [source, sha256Hex(raw), raw.subarray(0, QUARANTINE_BYTES), correlationId() ?? null, problem],
  );
}
