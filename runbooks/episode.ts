import { createHash } from "node:crypto";
import { canonicalJson } from "../lib/canonical.ts";
import type { Alert } from "../lib/contracts.ts";
import type { Queryable } from "../lib/postgres.ts";

export interface Episode {
  readonly id: string;
  readonly runId: string | undefined;
}

/**
 * Opens the episode of a firing alert, or touches the one that is open. `startsAt` may move back, when Alertmanager merges
 * overlapping alerts; the identity is (source, fingerprint) while the alert is not resolved.
 *
 * @returns undefined for a firing that is older than the alert's last resolve: a late or repeated delivery
 */
export async function openEpisode(
  tx: Queryable,
  source: string,
  alert: Alert,
): Promise<Episode | undefined> {
  const fingerprint = fingerprintOf(alert);
  const { rows: stale } = await tx.query(
    `SELECT 1 FROM episodes WHERE source = $1 AND fingerprint = $2 AND resolved_at >= $3 LIMIT 1`,
    [source, fingerprint, alert.startsAt],
  );
  if (stale.length > 0) return undefined;
  const { rows } = await tx.query<{ id: string; run_id: string | null }>(
    `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (source, fingerprint) WHERE resolved_at IS NULL
     DO UPDATE SET last_seen_at = now(), first_starts_at = least(episodes.first_starts_at, excluded.first_starts_at)
     RETURNING id, run_id`,
    [
      source,
      fingerprint,
      JSON.stringify(alert.labels),
      JSON.stringify(alert.annotations),
      alert.startsAt,
    ],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the episode returned no row");
  return { id: row.id, runId: row.run_id ?? undefined };
}

/** Closes the open episode of a resolved alert; a resolved that is older than the episode's start is stale and ignored. */
export async function closeEpisode(
  tx: Queryable,
  source: string,
  alert: Alert,
): Promise<Episode | undefined> {
  const { rows } = await tx.query<{ id: string; run_id: string | null }>(
    `UPDATE episodes SET resolved_at = greatest(first_starts_at, least($3::timestamptz, now())), last_seen_at = now()
      WHERE source = $1 AND fingerprint = $2 AND resolved_at IS NULL AND first_starts_at <= $3::timestamptz
      RETURNING id, run_id`,
    [
      source,
      fingerprintOf(alert),
      alert.endsAt.startsWith("0001-") ? new Date().toISOString() : alert.endsAt,
    ],
  );
  return rows[0] === undefined ? undefined : { id: rows[0].id, runId: rows[0].run_id ?? undefined };
}

export async function linkEpisode(tx: Queryable, episode: Episode, runId: string): Promise<void> {
  await tx.query("UPDATE episodes SET run_id = $2 WHERE id = $1", [episode.id, runId]);
}

/** The alerts of a run that still fire. */
export async function countOpenEpisodes(runId: string, database: Queryable): Promise<number> {
  const { rows } = await database.query<{ open: number }>(
    "SELECT count(*)::int AS open FROM episodes WHERE run_id = $1 AND resolved_at IS NULL",
    [runId],
  );
  return rows[0]?.open ?? 0;
}

/** Alertmanager's fingerprint where it is sent; a hash of the labels where it is not (Grafana's test button). */
function fingerprintOf({ fingerprint, labels }: Alert): string {
  return fingerprint === ""
    ? createHash("sha256").update(canonicalJson(labels)).digest("hex").slice(0, 16)
    : fingerprint;
}
