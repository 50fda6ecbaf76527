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
 * overlapping alerts; the identity is (source, fingerprint) while the alert is not resolved. A start after the episode was
 * last seen is a new incident whose predecessor's end was never told.
 *
 * @returns undefined for a firing that is older than the alert's last resolve: a late or repeated delivery
 */
export async function openEpisode(
  tx: Queryable,
  source: string,
  alert: Alert,
  truncated: boolean,
): Promise<Episode | undefined> {
  const key = [source, fingerprintOf(alert), alert.startsAt];
  const { rows: stale } = await tx.query(
    `SELECT 1 FROM episodes WHERE source = $1 AND fingerprint = $2 AND resolved_at >= $3 LIMIT 1`,
    key,
  );
  if (stale.length > 0) return undefined;
  await tx.query(
    `UPDATE episodes SET resolved_at = last_seen_at
      WHERE source = $1 AND fingerprint = $2 AND resolved_at IS NULL AND last_seen_at < $3::timestamptz`,
    key,
  );
  const { rows } = await tx.query<EpisodeRow>(
    `INSERT INTO episodes (source, fingerprint, first_starts_at, labels, annotations, truncated)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (source, fingerprint) WHERE resolved_at IS NULL
     DO UPDATE SET last_seen_at = now(), first_starts_at = least(episodes.first_starts_at, excluded.first_starts_at)
     RETURNING id, run_id`,
    [...key, JSON.stringify(alert.labels), JSON.stringify(alert.annotations), truncated],
  );
  return toEpisode(rows);
}

/**
 * Closes the open episode of a resolved alert; a resolved that is older than the episode's start is stale and ignored. One
 * that comes before its firing (several workers, retries) is kept as an episode that is over, so that the firing is known
 * to be late.
 */
export async function closeEpisode(
  tx: Queryable,
  source: string,
  alert: Alert,
): Promise<Episode | undefined> {
  const endsAt = alert.endsAt.startsWith("0001-") ? new Date().toISOString() : alert.endsAt;
  const key = [source, fingerprintOf(alert), endsAt];
  const { rows } = await tx.query<EpisodeRow>(
    `UPDATE episodes SET resolved_at = greatest(first_starts_at, least($3::timestamptz, now())), last_seen_at = now()
      WHERE source = $1 AND fingerprint = $2 AND resolved_at IS NULL AND first_starts_at <= $3::timestamptz
      RETURNING id, run_id`,
    key,
  );
  if (rows.length > 0) return toEpisode(rows);
  await tx.query(
    `INSERT INTO episodes (source, fingerprint, resolved_at, first_starts_at, labels, annotations)
     SELECT $1, $2, $3, least($4::timestamptz, $3::timestamptz), $5, $6
      WHERE NOT EXISTS (SELECT 1 FROM episodes
                         WHERE source = $1 AND fingerprint = $2 AND (resolved_at IS NULL OR resolved_at >= $3))`,
    [...key, alert.startsAt, JSON.stringify(alert.labels), JSON.stringify(alert.annotations)],
  );
  return undefined;
}

interface EpisodeRow {
  readonly id: string;
  readonly run_id: string | null;
}

function toEpisode([row]: readonly EpisodeRow[]): Episode {
  if (row === undefined) throw new Error("the episode returned no row");
  return { id: row.id, runId: row.run_id ?? undefined };
}

/** Leaves the alert for later: its target rests after a run. */
export async function postponeEpisode(tx: Queryable, episode: Episode, at: Date): Promise<void> {
  await tx.query("UPDATE episodes SET admit_at = $2 WHERE id = $1", [episode.id, at]);
}

/** Alerts whose target has rested, and that still fire. */
export async function findWaitingEpisodes(database: Queryable): Promise<readonly string[]> {
  const { rows } = await database.query<{ id: string }>(
    `SELECT id FROM episodes WHERE admit_at <= now() AND resolved_at IS NULL AND run_id IS NULL
      ORDER BY admit_at LIMIT 100`,
  );
  return rows.map(({ id }) => id);
}

/** A postponed alert as it was told; undefined when it has resolved, or somebody else is at it. */
export async function takeWaitingEpisode(
  tx: Queryable,
  id: string,
): Promise<
  | {
      readonly episode: Episode;
      readonly source: string;
      readonly alert: Alert;
      readonly truncated: boolean;
    }
  | undefined
> {
  const { rows } = await tx.query<{
    source: string;
    labels: Alert["labels"];
    annotations: Alert["annotations"];
    starts_at: Date;
    fingerprint: string;
    truncated: boolean;
  }>(
    `SELECT source, labels, annotations, first_starts_at AS starts_at, fingerprint, truncated FROM episodes
      WHERE id = $1 AND resolved_at IS NULL AND run_id IS NULL AND admit_at <= now() FOR UPDATE SKIP LOCKED`,
    [id],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const { source, truncated, starts_at: startsAt, ...known } = row;
  const alert = {
    ...known,
    status: "firing" as const,
    startsAt: startsAt.toISOString(),
    endsAt: "0001-01-01T00:00:00Z",
    generatorURL: "",
  };
  return { episode: { id, runId: undefined }, source, alert, truncated };
}

export async function linkEpisode(tx: Queryable, episode: Episode, runId: string): Promise<void> {
  await tx.query("UPDATE episodes SET run_id = $2, admit_at = NULL WHERE id = $1", [
    episode.id,
    runId,
  ]);
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
