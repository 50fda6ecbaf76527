import type { Database, Queryable } from "../../lib/postgres.ts";
import type { Anomaly } from "../types/anomaly.ts";
import type { ChannelName, Mailing } from "../types/delivery.ts";
import type { MetricQuery } from "../types/source.ts";
import type { AnomalyStore, Progress, Resume, Sighting, StoredModel } from "../types/store.ts";
import { settleByName } from "./outbox-table.ts";
import { openArchive } from "./anomaly-archive.ts";
import { anomalyOf, type AnomalyRow, toJson } from "./anomaly-row.ts";

interface ModelRow {
  readonly sha256: string;
  readonly schema_version: number;
  readonly seed: string;
  readonly trained_at: Date;
  readonly trees: Buffer;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** The detector's tables (sql/0002_detector.sql). Errors of the driver come through unchanged. */
export function openStore(database: Database, channels: readonly ChannelName[] = []): AnomalyStore {
  return {
    resume: async (metric) => resume(database, metric),
    open: async (anomaly, mailing) => insertAnomaly(database, anomaly, { channels, mailing }),
    close: async (anomaly, mailing) => closeEpisode(database, anomaly, { channels, mailing }),
    settle: async (delivery, result) => settleByName(database, delivery, result),
    saveProgress: async (progress, sightings) =>
      database.inTransaction(async (tx) => saveProgress(tx, progress, sightings)),
    ...openArchive(database),
    model: async (sha256) => model(database, "WHERE sha256 = $1", [sha256]),
    newestModel: async () => model(database, "", []),
    saveModel: async (model) => saveModel(database, model),
  };
}

async function resume(database: Queryable, { name, expr }: MetricQuery): Promise<Resume> {
  const progress = await database.query<{ evaluated_until: Date }>(
    "SELECT evaluated_until FROM aiops_progress WHERE metric = $1 AND expr = $2",
    [name, expr],
  );
  const open = await database.query<AnomalyRow>(
    "SELECT * FROM aiops_anomalies WHERE metric = $1 AND closed_at IS NULL",
    [name],
  );
  return {
    evaluatedUntil: progress.rows[0]?.evaluated_until.getTime(),
    open: open.rows.map(anomalyOf),
  };
}

interface Mail {
  readonly channels: readonly ChannelName[];
  readonly mailing: Mailing;
}

/** The row and its news are one statement: what is not stored is not sent from here, and the other way round. */
async function closeEpisode(
  database: Queryable,
  { id, metric, series, closedAt, lastSeenAt, closeCause }: Anomaly,
  { channels, mailing }: Mail,
): Promise<"closed" | "unknown"> {
  const { rows } = await database.query<{ known: boolean }>(
    `WITH closed AS (
       UPDATE aiops_anomalies SET closed_at = $3, last_seen_at = $4, close_cause = $5
       WHERE metric = $1 AND series = $2 AND closed_at IS NULL RETURNING id
     ), mailed AS (
       INSERT INTO aiops_outbox (channel, anomaly_id, status, traceparent, next_at)
       SELECT unnest($7::text[]), id, 'resolved', $8, now() + $9 * interval '1 millisecond' FROM closed
       ON CONFLICT DO NOTHING
     )
     SELECT EXISTS (SELECT FROM closed) OR EXISTS (SELECT FROM aiops_anomalies WHERE id = $6) AS known`,
    [
      ...[metric, series, new Date(closedAt ?? lastSeenAt), new Date(lastSeenAt), closeCause],
      ...[id, channels, mailing.traceparent ?? null, mailing.headStartMs],
    ],
  );
  return rows[0]?.known === true ? "closed" : "unknown";
}

async function saveProgress(
  tx: Queryable,
  progress: readonly Progress[],
  sightings: readonly Sighting[],
): Promise<void> {
  for (const { name, expr, evaluatedUntil } of progress) {
    await tx.query(
      `INSERT INTO aiops_progress (metric, expr, evaluated_until) VALUES ($1, $2, $3)
       ON CONFLICT (metric) DO UPDATE SET expr = excluded.expr, evaluated_until = excluded.evaluated_until`,
      [name, expr, new Date(evaluatedUntil)],
    );
  }
  if (sightings.length === 0) return;
  await tx.query(
    `UPDATE aiops_anomalies SET last_seen_at = seen.at
     FROM unnest($1::text[], $2::timestamptz[]) AS seen (id, at)
     WHERE aiops_anomalies.id = seen.id AND last_seen_at < seen.at`,
    [sightings.map(({ id }) => id), sightings.map((one) => new Date(one.lastSeenAt))],
  );
}

async function saveModel(database: Queryable, model: StoredModel): Promise<void> {
  const { schemaVersion, sha256, seed, trainedAt, trees, parameters } = model;
  await database.query(
    `INSERT INTO aiops_models (schema_version, sha256, seed, trained_at, trees, parameters)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (sha256) DO NOTHING`,
    [schemaVersion, sha256, seed, trainedAt, trees, toJson(parameters)],
  );
}

async function insertAnomaly(
  database: Queryable,
  anomaly: Anomaly,
  { channels, mailing }: Mail,
): Promise<"opened" | "already_open"> {
  // Neither a second replica nor a replay may make a second row: one open episode per series, one row per id.
  const { rows } = await database.query<{ opened: boolean }>(
    `WITH opened AS (INSERT INTO aiops_anomalies (id, metric, expr, series, labels, namespace, app, reason, direction, severity,
       step_ms, history_from, opened_at, last_seen_at, score, value, baseline, delta, percent_change, zscores, sparkline, evidence, model_sha256)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
     ON CONFLICT DO NOTHING RETURNING id
     ), remembered AS (
       INSERT INTO aiops_memories (anomaly_id, memory) SELECT id, $24 FROM opened WHERE $24::bytea IS NOT NULL
     ), mailed AS (
       INSERT INTO aiops_outbox (channel, anomaly_id, status, traceparent, next_at)
       SELECT unnest($25::text[]), id, 'firing', $26, now() + $27 * interval '1 millisecond' FROM opened
     )
     SELECT EXISTS (SELECT FROM opened) AS opened`,
    [
      anomaly.id,
      anomaly.metric,
      anomaly.expr,
      anomaly.series,
      toJson(anomaly.labels),
      anomaly.namespace,
      anomaly.app,
      anomaly.reason,
      anomaly.direction,
      anomaly.severity,
      anomaly.step ?? null,
      anomaly.historyFrom === undefined ? null : new Date(anomaly.historyFrom),
      new Date(anomaly.openedAt),
      new Date(anomaly.lastSeenAt),
      anomaly.score,
      anomaly.value,
      anomaly.baseline,
      anomaly.delta,
      anomaly.percentChange ?? null,
      toJson(anomaly.zscores),
      anomaly.sparkline,
      toJson(anomaly.evidence),
      anomaly.modelSha256 ?? null,
      anomaly.memory ?? null,
      ...[channels, mailing.traceparent ?? null, mailing.headStartMs],
    ],
  );
  return rows[0]?.opened === true ? "opened" : "already_open";
}

async function model(
  database: Queryable,
  condition: string,
  values: readonly unknown[],
): Promise<StoredModel | undefined> {
  const { rows } = await database.query<ModelRow>(
    `SELECT sha256, schema_version, seed, trained_at, trees, parameters
     FROM aiops_models ${condition} ORDER BY id DESC LIMIT 1`,
    values,
  );
  const [row] = rows;
  return row === undefined
    ? undefined
    : {
        sha256: row.sha256,
        schemaVersion: row.schema_version,
        seed: Number(row.seed),
        trainedAt: row.trained_at,
        trees: row.trees,
        parameters: row.parameters,
      };
}
