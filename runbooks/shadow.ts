import type { Queryable } from "../lib/postgres.ts";
import { shareOf, type Share } from "./wilson.ts";

/** What a line in shadow mode would have done, and what happened without it. */
export interface ShadowLine {
  readonly key: string;
  readonly text: string;
  readonly action: string;
  /** How often it would have acted, or asked. */
  readonly runs: number;
  /** Of those whose end is known: nobody did anything, and the alerts were over. With its 95 % interval. */
  readonly selfResolved: Share;
  /** A person had the same done to the same target before the alerts were over. */
  readonly sameByPerson: number;
  /** Something else was done to the target: another action, or one that no person had a hand in. */
  readonly somethingElse: number;
  /** Alerts that still fire, or whose end was never told. */
  readonly unknown: number;
  /** From the decision to the end of the alerts, of those that resolved by themselves; null without any. */
  readonly medianSeconds: number | null;
  readonly p90Seconds: number | null;
}

interface ShadowRow {
  readonly key: string;
  readonly text: string;
  readonly action: string;
  readonly runs: number;
  readonly self_resolved: number;
  readonly same: number;
  readonly other: number;
  readonly unknown: number;
  readonly median: number | null;
  readonly p90: number | null;
}

/**
 * Judges every run that ended as `skipped_shadow` in the period, by the record alone: what people did past Fettle is not
 * in it, and counts as resolved by itself.
 */
export async function shadowReport(
  { from, to }: { readonly from: Date; readonly to: Date },
  database: Queryable,
): Promise<readonly ShadowLine[]> {
  const { rows } = await database.query<ShadowRow>(SHADOW_SQL, [from, to]);
  return rows.map((row) => ({
    key: row.key,
    text: row.text,
    action: row.action,
    runs: row.runs,
    selfResolved: shareOf(row.self_resolved, row.runs - row.unknown),
    sameByPerson: row.same,
    somethingElse: row.other,
    unknown: row.unknown,
    medianSeconds: row.median,
    p90Seconds: row.p90,
  }));
}

const SHADOW_SQL = `
WITH watched AS (
  SELECT r.id, r.target_key, r.rule, coalesce(r.finished_at, r.created_at) AS decided_at, told.resolved_at
    FROM runs r
    CROSS JOIN LATERAL (
      SELECT CASE WHEN bool_and(e.resolved_at IS NOT NULL) THEN max(e.resolved_at) END AS resolved_at
        FROM episodes e WHERE e.run_id = r.id) told
   WHERE r.state = 'skipped_shadow' AND r.rule IS NOT NULL AND r.created_at >= $1 AND r.created_at < $2
), done AS (
  SELECT w.id, bool_or(a.action = w.rule->>'action' AND by_person.yes) AS same
    FROM watched w
    JOIN runs s ON s.target_key = w.target_key AND s.id <> w.id
    JOIN runbooks_audit a ON a.run_id = s.id AND a.event = 'executed'
     AND a.ts > w.decided_at AND a.ts <= coalesce(w.resolved_at, now())
    CROSS JOIN LATERAL (
      SELECT s.requested_by IS NOT NULL OR EXISTS (
        SELECT 1 FROM runbooks_audit p WHERE p.run_id = s.id AND p.event = 'approved' AND p.actor <> 'policy') AS yes
    ) by_person
   GROUP BY w.id
), judged AS (
  SELECT w.rule, extract(epoch FROM w.resolved_at - w.decided_at)::float8 AS seconds,
         CASE WHEN d.same THEN 'same' WHEN d.id IS NOT NULL THEN 'other'
              WHEN w.resolved_at IS NULL THEN 'unknown' ELSE 'self' END AS fate
    FROM watched w LEFT JOIN done d ON d.id = w.id
)
SELECT rule->>'key' AS key, rule->>'text' AS text, rule->>'action' AS action, count(*)::int AS runs,
       count(*) FILTER (WHERE fate = 'self')::int AS self_resolved,
       count(*) FILTER (WHERE fate = 'same')::int AS same,
       count(*) FILTER (WHERE fate = 'other')::int AS other,
       count(*) FILTER (WHERE fate = 'unknown')::int AS unknown,
       greatest(0, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE fate = 'self')) AS median,
       greatest(0, percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE fate = 'self')) AS p90
  FROM judged GROUP BY 1, 2, 3 ORDER BY runs DESC, 1, 2`;
