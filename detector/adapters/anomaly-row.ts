import type {
  Anomaly,
  CloseCause,
  Direction,
  Labels,
  OpenEpisode,
  Reason,
  ZScore,
} from "../types.ts";

/** A row of aiops_anomalies as the driver gives it. The jsonb columns hold what this program wrote. */
export interface AnomalyRow {
  readonly id: string;
  readonly metric: string;
  readonly expr: string;
  readonly series: string;
  readonly labels: Labels;
  readonly namespace: string;
  readonly app: string;
  readonly reason: Reason;
  readonly direction: Direction;
  readonly opened_at: Date;
  readonly last_seen_at: Date;
  readonly closed_at: Date | null;
  readonly close_cause: CloseCause | null;
  readonly score: number;
  readonly value: number;
  readonly baseline: number;
  readonly delta: number;
  readonly percent_change: number | null;
  readonly zscores: readonly ZScore[];
  readonly sparkline: string;
  readonly evidence: OpenEpisode;
  readonly model_sha256: string | null;
  readonly published_at: Date | null;
}

export function anomalyOf(row: AnomalyRow): Anomaly {
  return {
    id: row.id,
    metric: row.metric,
    expr: row.expr,
    series: row.series,
    labels: row.labels,
    namespace: row.namespace,
    app: row.app,
    reason: row.reason,
    direction: row.direction,
    severity: "warning",
    openedAt: row.opened_at.getTime(),
    lastSeenAt: row.last_seen_at.getTime(),
    closedAt: row.closed_at?.getTime(),
    closeCause: row.close_cause ?? undefined,
    score: row.score,
    value: row.value,
    baseline: row.baseline,
    delta: row.delta,
    percentChange: row.percent_change ?? undefined,
    zscores: row.zscores,
    sparkline: row.sparkline,
    modelSha256: row.model_sha256 ?? undefined,
    evidence: row.evidence,
  };
}

/** JSON that `jsonb` takes: it refuses NUL and lone surrogates, which a label may carry (reliability.md F23). */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "string" ? member.toWellFormed().replaceAll("\0", "\ufffd") : member,
  );
}
