import { sha256Hex } from "../lib/canonical.ts";
import { correlationId } from "../lib/correlation.ts";
import { failpoint } from "../lib/failpoint.ts";
import type { Database } from "../lib/postgres.ts";
import { currentTraceparent } from "../lib/tracing.ts";
import type { Delivery, Enqueue } from "./types.ts";

/** The receipt of a delivery. Alerts of a body that had come before count as duplicates. */
export interface Receipt {
  readonly id: string;
  readonly accepted: number;
  readonly duplicate: number;
}

/** The quarantined part of a body that could not be read; enough to see who sends what. */
const QUARANTINE_BYTES = 64 * 1024;

/** Stores a delivery and the job that will look at it, in one transaction. When it returns, nothing can be lost any more. */
export async function storeDelivery(
  delivery: Delivery,
  database: Database,
  enqueue: Enqueue,
): Promise<Receipt> {
  const { source, raw, frame } = delivery;
  const receipt = await database.inTransaction(async (tx) => {
    const { rows } = await tx.query<{ id: string; deliveries: number }>(
      `INSERT INTO inbox (source, body_sha256, raw, content, alerts, correlation_id, traceparent)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (source, body_sha256) DO UPDATE SET deliveries = inbox.deliveries + 1
       RETURNING id, deliveries`,
      [
        source,
        sha256Hex(raw),
        raw,
        JSON.stringify(frame),
        frame.alerts.length,
        correlationId() ?? null,
        currentTraceparent() ?? null,
      ],
    );
    const [row] = rows;
    if (row === undefined) throw new Error("the inbox returned no row");
    const isNew = row.deliveries === 1;
    if (isNew) await enqueue(tx, "runbooks-inbox", { inboxId: row.id });
    await failpoint("received-before-commit");
    return {
      id: row.id,
      accepted: isNew ? frame.alerts.length : 0,
      duplicate: isNew ? 0 : frame.alerts.length,
    };
  });
  await failpoint("received-after-commit");
  return receipt;
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
