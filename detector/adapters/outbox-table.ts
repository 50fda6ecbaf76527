import type { Queryable } from "../../lib/postgres.ts";
import type {
  AlertStatus,
  ChannelName,
  Delivery,
  DeliveryResult,
  Mailbox,
} from "../types/delivery.ts";
import { anomalyOf, type AnomalyRow } from "./anomaly-row.ts";

/** Three times what a post may take: who holds an alert longer is dead. */
const LEASE_MS = 30_000;
/** A row of a channel that is configured nowhere any more is given up an hour later than its own sender would. */
const ABANDONED = "25 hours";
const KEPT = "30 days";

interface DeliveryRow extends AnomalyRow {
  readonly delivery_id: string;
  readonly delivery_status: AlertStatus;
  readonly traceparent: string | null;
  readonly attempts: number;
  readonly age_ms: number;
}

/** The durable mailbox (sql/0004_detector_service.sql), shared by all replicas. Times are the database's. */
export function openOutboxTable(database: Queryable): Mailbox {
  return {
    take: async (channel) => take(database, channel),
    retry: async ({ id }, afterMs, error) => {
      await database.query(
        `UPDATE aiops_outbox SET next_at = now() + $2 * interval '1 millisecond', last_error = $3
         WHERE id = $1 AND settled_at IS NULL`,
        [id, afterMs, error.slice(0, 500)],
      );
    },
    settle: async ({ id }, result) => settleWhere(database, "id = $1", [id], result),
    sweep: async () => sweep(database),
  };
}

/** Settles a delivery that was sent from memory, by what it is. */
export async function settleByName(
  database: Queryable,
  { channel, anomaly, status }: Delivery,
  result: DeliveryResult,
): Promise<void> {
  const condition = "channel = $1 AND anomaly_id = $2 AND status = $3";
  await settleWhere(database, condition, [channel, anomaly.id, status], result);
}

async function take(database: Queryable, channel: ChannelName): Promise<Delivery | undefined> {
  const { rows } = await database.query<DeliveryRow>(
    `WITH taken AS (
       UPDATE aiops_outbox SET next_at = now() + $2 * interval '1 millisecond', attempts = attempts + 1
       WHERE id = (
         SELECT id FROM aiops_outbox waiting
         WHERE channel = $1 AND settled_at IS NULL AND next_at <= now() AND NOT EXISTS (
           SELECT FROM aiops_outbox earlier
           WHERE earlier.channel = $1 AND earlier.anomaly_id = waiting.anomaly_id
             AND earlier.settled_at IS NULL AND earlier.id < waiting.id)
         ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING *)
     SELECT anomaly.*, taken.id AS delivery_id, taken.status AS delivery_status, taken.traceparent, taken.attempts,
       (extract(epoch FROM now() - taken.created_at) * 1000)::float8 AS age_ms
     FROM taken JOIN aiops_anomalies anomaly ON anomaly.id = taken.anomaly_id`,
    [channel, LEASE_MS],
  );
  const [row] = rows;
  return row === undefined
    ? undefined
    : {
        id: row.delivery_id,
        channel,
        anomaly: anomalyOf(row),
        status: row.delivery_status,
        traceparent: row.traceparent ?? undefined,
        attempts: row.attempts,
        ageMs: row.age_ms,
      };
}

/** The anomaly keeps the time at which the first channel took its news. */
async function settleWhere(
  database: Queryable,
  condition: string,
  values: readonly unknown[],
  result: DeliveryResult,
): Promise<void> {
  await database.query(
    `WITH settled AS (
       UPDATE aiops_outbox SET settled_at = now(), result = $${values.length + 1}
       WHERE ${condition} AND settled_at IS NULL RETURNING anomaly_id, status, result)
     UPDATE aiops_anomalies SET
       published_at = CASE settled.status WHEN 'firing' THEN coalesce(published_at, now()) ELSE published_at END,
       resolved_published_at = CASE settled.status
         WHEN 'resolved' THEN coalesce(resolved_published_at, now()) ELSE resolved_published_at END
     FROM settled WHERE aiops_anomalies.id = settled.anomaly_id AND settled.result = 'delivered'`,
    [...values, result],
  );
}

async function sweep(database: Queryable): Promise<void> {
  await database.query(
    `UPDATE aiops_outbox SET settled_at = now(), result = 'gave_up', last_error = coalesce(last_error, 'nobody asked for it')
     WHERE settled_at IS NULL AND created_at < now() - interval '${ABANDONED}'`,
  );
  await database.query(`DELETE FROM aiops_outbox WHERE settled_at < now() - interval '${KEPT}'`);
}
