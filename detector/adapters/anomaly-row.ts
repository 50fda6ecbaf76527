import type { Anomaly, AnomalyReason, Severity } from "../types/anomaly.ts";
import type { CloseCause, Direction, OpenEpisode } from "../types/episode.ts";
import type { ZScore } from "../types/scoring.ts";
import type { Labels } from "../types/source.ts";

/** A row of aiops_anomalies as the driver gives it. The jsonb columns hold what this program wrote. */
export interface AnomalyRow {
  readonly id: string;
  readonly metric: string;
  readonly expr: string;
  readonly series: string;
  readonly labels: Labels;
  readonly namespace: string;
  readonly app: string;
  readonly reason: AnomalyReason;
  readonly direction: Direction;
  readonly severity: Severity;
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
  readonly step_ms: string | null;
  readonly history_from: Date | null;
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
    severity: row.severity,
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
    step: row.step_ms === null ? undefined : Number(row.step_ms),
    historyFrom: row.history_from?.getTime(),
    evidence: row.evidence,
  };
}

/** JSON that `jsonb` takes: it refuses NUL and lone surrogates, which a label may carry. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "string" ? member.toWellFormed().replaceAll("\0", "\ufffd") : member,
  );
}
