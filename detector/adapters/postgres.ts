import type { Database, Queryable } from "../../lib/postgres.ts";
import type {
  AlertStatus,
  Anomaly,
  AnomalyStore,
  MetricQuery,
  Progress,
  Resume,
  Sighting,
  StoredModel,
} from "../types.ts";
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
export function openStore(database: Database): AnomalyStore {
  return {
    resume: async (metric) => resume(database, metric),
    open: async (anomaly) => insertAnomaly(database, anomaly),
    close: async (anomaly) => closeEpisode(database, anomaly),
    delivered: async (id, status, at) => markDelivered(database, { id, status, at }),
    saveProgress: async (progress, sightings) =>
      database.inTransaction(async (tx) => saveProgress(tx, progress, sightings)),
    undelivered: async (since) => undelivered(database, since),
    recent: async (limit) => recent(database, limit),
    newestModel: async () => newestModel(database),
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

async function closeEpisode(database: Queryable, anomaly: Anomaly): Promise<void> {
  const { metric, series, closedAt, lastSeenAt, closeCause } = anomaly;
  await database.query(
    `UPDATE aiops_anomalies SET closed_at = $3, last_seen_at = $4, close_cause = $5
     WHERE metric = $1 AND series = $2 AND closed_at IS NULL`,
    [metric, series, new Date(closedAt ?? lastSeenAt), new Date(lastSeenAt), closeCause],
  );
}

async function markDelivered(
  database: Queryable,
  { id, status, at }: { readonly id: string; readonly status: AlertStatus; readonly at: Date },
): Promise<void> {
  const column = status === "firing" ? "published_at" : "resolved_published_at";
  await database.query(
    `UPDATE aiops_anomalies SET ${column} = coalesce(${column}, $2) WHERE id = $1`,
    [id, at],
  );
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

async function recent(database: Queryable, limit: number): Promise<readonly Anomaly[]> {
  const { rows } = await database.query<AnomalyRow>(
    "SELECT * FROM aiops_anomalies ORDER BY opened_at DESC, id LIMIT $1",
    [limit],
  );
  return rows.map(anomalyOf);
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
): Promise<"opened" | "already_open"> {
  // Neither a second replica nor a replay may make a second row: one open episode per series, one row per id.
  const { rowCount } = await database.query(
    `INSERT INTO aiops_anomalies (id, metric, expr, series, labels, namespace, app, reason, direction, severity,
       opened_at, last_seen_at, score, value, baseline, delta, percent_change, zscores, sparkline, evidence, model_sha256)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
     ON CONFLICT DO NOTHING`,
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
    ],
  );
  return rowCount === 1 ? "opened" : "already_open";
}

async function undelivered(
  database: Queryable,
  since: Date,
): Promise<readonly { readonly anomaly: Anomaly; readonly status: AlertStatus }[]> {
  const { rows } = await database.query<AnomalyRow>(
    `SELECT * FROM aiops_anomalies
     WHERE (published_at IS NULL OR (closed_at IS NOT NULL AND resolved_published_at IS NULL))
       AND coalesce(closed_at, last_seen_at) >= $1 ORDER BY opened_at LIMIT 1000`,
    [since],
  );
  return rows.flatMap((row) => {
    const anomaly = anomalyOf(row);
    return [
      ...(row.published_at === null ? [{ anomaly, status: "firing" as const }] : []),
      ...(row.closed_at === null ? [] : [{ anomaly, status: "resolved" as const }]),
    ];
  });
}

async function newestModel(database: Queryable): Promise<StoredModel | undefined> {
  const { rows } = await database.query<ModelRow>(
    `SELECT sha256, schema_version, seed, trained_at, trees, parameters
     FROM aiops_models ORDER BY id DESC LIMIT 1`,
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
