import type { Alert } from "../lib/contracts.ts";
import type { Queryable } from "../lib/postgres.ts";
import type { ToldAlert } from "./told.ts";

interface Episode {
  readonly id: string;
  readonly runId: string | undefined;
}

/** A firing alert, and the episode that it has opened or goes on with. */
export interface OpenEpisode extends Episode {
  readonly alert: ToldAlert;
  readonly isNew: boolean;
  /** It waits until its target has rested. */
  readonly postponed: boolean;
}

/** SQL: the alerts of $2, as {@link rowsOf} gives them. */
const TOLD = `jsonb_to_recordset($2::jsonb) AS t(fingerprint text, starts_at timestamptz, ends_at timestamptz,
  labels jsonb, annotations jsonb)`;

function rowsOf(alerts: readonly ToldAlert[]): string {
  return JSON.stringify(
    alerts.map(({ fingerprint, startsAt, endsAt, labels, annotations }) => ({
      fingerprint,
      starts_at: startsAt,
      ends_at: endsAt,
      labels,
      annotations,
    })),
  );
}

/**
 * Opens the episodes of firing alerts, or touches those that are open; four statements, however many alerts. `startsAt` may
 * move back, when Alertmanager merges overlapping alerts; the identity is (source, fingerprint) while the alert is not
 * resolved. A start after the episode was last seen is a new incident whose predecessor's end was never told. A firing that
 * is older than the alert's last resolve is a late or repeated delivery: it gets no episode.
 *
 * Call it under the locks of the alerts (admit.ts).
 */
export async function openEpisodes(
  tx: Queryable,
  { source, groupKey, truncated }: EpisodeOrigin,
  alerts: readonly ToldAlert[],
): Promise<readonly OpenEpisode[]> {
  if (alerts.length === 0) return [];
  const { rows: stale } = await tx.query<{ fingerprint: string }>(
    `SELECT t.fingerprint FROM ${TOLD}
      WHERE EXISTS (SELECT 1 FROM episodes e
                     WHERE e.source = $1 AND e.fingerprint = t.fingerprint AND e.resolved_at >= t.starts_at)`,
    [source, rowsOf(alerts)],
  );
  const old = new Set(stale.map(({ fingerprint }) => fingerprint));
  const fresh = alerts.filter(({ fingerprint }) => !old.has(fingerprint));
  const rows = rowsOf(fresh);
  await tx.query(
    `UPDATE episodes e SET resolved_at = e.last_seen_at, resolved_by = 'newer' FROM ${TOLD}
      WHERE e.source = $1 AND e.fingerprint = t.fingerprint AND e.resolved_at IS NULL AND e.last_seen_at < t.starts_at`,
    [source, rows],
  );
  const { rows: open } = await tx.query<OpenRow>(OPEN, [source, rows, truncated, groupKey ?? null]);
  const byFingerprint = new Map(open.map((row) => [row.fingerprint, row]));
  return fresh.flatMap((alert) => {
    const row = byFingerprint.get(alert.fingerprint);
    if (row === undefined) return [];
    const { id, run_id: runId, is_new: isNew, postponed } = row;
    return [{ id, runId: runId ?? undefined, alert, isNew, postponed }];
  });
}

interface EpisodeOrigin {
  readonly source: string;
  /** SHA-256 of the group's key; undefined when the sender has no groups. */
  readonly groupKey: string | undefined;
  readonly truncated: boolean;
}

interface OpenRow {
  readonly id: string;
  readonly fingerprint: string;
  readonly run_id: string | null;
  readonly is_new: boolean;
  readonly postponed: boolean;
}

/** A start in the future is the sender's wrong clock: taken as it is, no resolved would ever be later. */
const OPEN = `
  INSERT INTO episodes (source, fingerprint, first_starts_at, last_starts_at, labels, annotations, truncated,
                        group_key_sha256, opened)
  SELECT $1, t.fingerprint, t.starts_at, least(t.starts_at, now()), t.labels, t.annotations, $3, $4,
         1 + coalesce((SELECT max(e.opened) FROM episodes e WHERE e.source = $1 AND e.fingerprint = t.fingerprint), 0)
    FROM ${TOLD}
      ON CONFLICT (source, fingerprint) WHERE resolved_at IS NULL
      DO UPDATE SET last_seen_at = now(), truncated = excluded.truncated, 
                    group_key_sha256 = coalesce(excluded.group_key_sha256, episodes.group_key_sha256),
                    first_starts_at = least(episodes.first_starts_at, excluded.first_starts_at),
                    last_starts_at = greatest(episodes.last_starts_at, excluded.last_starts_at)
  RETURNING id, fingerprint, run_id, xmax = 0 AS is_new, coalesce(admit_at > now(), false) AS postponed`;

/**
 * Closes the open episodes of resolved alerts; a resolved from before the episode's latest start is old news and ignored.
 * One that comes before its firing (several workers, retries) is kept as an episode that is over, so that the firing is
 * known to be late. An end in the future counts as now: it would hide every later firing.
 *
 * @returns the runs that lost an alert
 */
export async function closeEpisodes(
  tx: Queryable,
  { source, by = "sender" }: { readonly source: string; readonly by?: "sender" | "reconcile" },
  alerts: readonly ToldAlert[],
): Promise<readonly string[]> {
  if (alerts.length === 0) return [];
  const { rows: closed } = await tx.query<{ fingerprint: string; run_id: string | null }>(
    `UPDATE episodes e SET resolved_at = greatest(e.first_starts_at, least(t.ends_at, now())), last_seen_at = now(),
            resolved_by = $3
       FROM ${TOLD}
      WHERE e.source = $1 AND e.fingerprint = t.fingerprint AND e.resolved_at IS NULL
        AND e.last_starts_at <= coalesce(t.ends_at, now())
      RETURNING e.fingerprint, e.run_id`,
    [source, rowsOf(alerts), by],
  );
  const done = new Set(closed.map(({ fingerprint }) => fingerprint));
  await tx.query(
    `INSERT INTO episodes (source, fingerprint, resolved_at, resolved_by, first_starts_at, last_starts_at, labels, annotations)
     SELECT $1, t.fingerprint, least(t.ends_at, now()), 'sender', least(t.starts_at, t.ends_at, now()),
            least(t.starts_at, t.ends_at, now()), t.labels, t.annotations
       FROM ${TOLD}
      WHERE NOT EXISTS (SELECT 1 FROM episodes e WHERE e.source = $1 AND e.fingerprint = t.fingerprint
                           AND (e.resolved_at IS NULL OR e.resolved_at >= least(t.ends_at, now())))`,
    [source, rowsOf(alerts.filter(({ fingerprint }) => !done.has(fingerprint)))],
  );
  return [...new Set(closed.flatMap(({ run_id: runId }) => runId ?? []))];
}

/** Leaves alerts for later: their target rests after a run. */
export async function postponeEpisodes(
  tx: Queryable,
  episodes: readonly { readonly id: string; readonly at: Date }[],
): Promise<void> {
  if (episodes.length === 0) return;
  await tx.query(
    `UPDATE episodes e SET admit_at = t.at FROM unnest($1::bigint[], $2::timestamptz[]) AS t(id, at) WHERE e.id = t.id`,
    [episodes.map(({ id }) => id), episodes.map(({ at }) => at)],
  );
}

/** Alerts whose target has rested, and that still fire. */
export async function findWaitingEpisodes(database: Queryable): Promise<readonly string[]> {
  const { rows } = await database.query<{ id: string }>(
    `SELECT id FROM episodes WHERE admit_at <= now() AND resolved_at IS NULL AND run_id IS NULL
      ORDER BY admit_at LIMIT 100`,
  );
  return rows.map(({ id }) => id);
}

/** A postponed alert, as it was told. */
export interface WaitingEpisode {
  readonly id: string;
  readonly source: string;
  readonly alert: ToldAlert;
  readonly truncated: boolean;
}

/** Undefined when the alert has resolved, or has a run. @param lock keeps the row; undefined as well when somebody has it */
export async function findWaitingEpisode(
  tx: Queryable,
  id: string,
  { lock }: { readonly lock: boolean },
): Promise<WaitingEpisode | undefined> {
  const { rows } = await tx.query<{
    source: string;
    labels: Alert["labels"];
    annotations: Alert["annotations"];
    starts_at: Date;
    fingerprint: string;
    truncated: boolean;
  }>(
    `SELECT e.source, e.labels, e.annotations, e.first_starts_at AS starts_at, e.fingerprint,
            e.truncated OR EXISTS (SELECT 1 FROM alert_groups g WHERE g.source = e.source
              AND g.key_sha256 = e.group_key_sha256 AND g.truncated_at IS NOT NULL) AS truncated
       FROM episodes e
      WHERE e.id = $1 AND e.resolved_at IS NULL AND e.run_id IS NULL AND e.admit_at <= now()
      ${lock ? "FOR UPDATE OF e SKIP LOCKED" : ""}`,
    [id],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const { source, truncated, starts_at: startsAt, ...known } = row;
  return {
    id,
    source,
    truncated,
    alert: { ...known, startsAt: startsAt.toISOString(), endsAt: undefined },
  };
}

export async function linkEpisodes(
  tx: Queryable,
  links: readonly { readonly id: string; readonly runId: string }[],
): Promise<void> {
  if (links.length === 0) return;
  await tx.query(
    `UPDATE episodes e SET run_id = t.run_id, admit_at = NULL
       FROM unnest($1::bigint[], $2::text[]) AS t(id, run_id) WHERE e.id = t.id`,
    [links.map(({ id }) => id), links.map(({ runId }) => runId)],
  );
}

/** The pods that the alerts of a run name, in the order of their names. */
export async function findAlertPods(
  runId: string,
  database: Queryable,
): Promise<readonly string[]> {
  const { rows } = await database.query<{ pod: string }>(
    `SELECT DISTINCT labels->>'pod' AS pod FROM episodes
      WHERE run_id = $1 AND resolved_at IS NULL AND labels ? 'pod' ORDER BY pod LIMIT 1000`,
    [runId],
  );
  return rows.map(({ pod }) => pod);
}

/** The alerts of a run that still fire. */
export async function countOpenEpisodes(runId: string, database: Queryable): Promise<number> {
  const { rows } = await database.query<{ open: number }>(
    "SELECT count(*)::int AS open FROM episodes WHERE run_id = $1 AND resolved_at IS NULL",
    [runId],
  );
  return rows[0]?.open ?? 0;
}
