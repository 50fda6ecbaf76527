import type { Queryable } from "../../lib/postgres.ts";
import type { Backend } from "../backends/types.ts";
import { nextRuns } from "./cron.ts";
import { retain, type Decision, type Keep } from "./retain.ts";
import { utcColumns } from "../utc-column.ts";

/** Snapshots of a container by the clock. */
export interface Schedule {
  readonly id: string;
  readonly project: string;
  readonly container: string;
  readonly name: string;
  readonly cron: string;
  readonly time_zone: string;
  readonly enabled: boolean;
  readonly keep: Keep;
  readonly created_by: string;
  /** RFC 3339. */
  readonly next_at: string | null;
  readonly last_at: string | null;
  readonly last_status: string | null;
  readonly last_error: string | null;
  readonly created_at: string;
  readonly updated_at: string;
  readonly version: number;
}

export const SCHEDULE = `id, project, container, name, cron, time_zone, enabled, keep, created_by,
  last_status, last_error, version::float8 AS version,
  ${utcColumns(["next_at", "last_at", "created_at", "updated_at"])}`;

/** When it shall run for the next time, counted from now. */
export function nextOf(schedule: Pick<Schedule, "cron" | "time_zone" | "enabled">): Date | null {
  const { cron, time_zone: timeZone, enabled } = schedule;
  return enabled ? (nextRuns(cron, timeZone, new Date(), 1)[0] ?? null) : null;
}

export interface Retention {
  readonly decisions: readonly Decision[];
  /** Of the container, and none of this schedule's, or a failed one that is the youngest: they are not deleted by it. */
  readonly untouched: readonly string[];
  /** Ours, and not on the backend any more. */
  readonly gone: readonly string[];
}

/** What becomes of a container's snapshots, as the backend has them now. */
export async function retentionOf(
  database: Queryable,
  backend: Backend,
  schedule: Pick<Schedule, "id" | "project" | "container" | "time_zone" | "keep">,
  signal?: AbortSignal,
): Promise<Retention> {
  const { id, project, container, time_zone: timeZone, keep } = schedule;
  const there = await backend.snapshots.list({ project, name: container }, { signal });
  const names = new Set(there.map(({ name }) => name));
  const { rows } = await database.query<{ snapshot: string; state: string; created_at: Date }>(
    `SELECT snapshot, state, created_at FROM hypervisor_scheduled_snapshots
      WHERE schedule_id = $1 AND state IN ('made', 'failed') ORDER BY created_at DESC`,
    [id],
  );
  const present = rows
    .filter(({ snapshot }) => names.has(snapshot))
    .map(({ snapshot, state, created_at: createdAt }) => ({ snapshot, state, createdAt }));
  const made = present
    .filter(({ state }) => state === "made")
    .map(({ snapshot, createdAt }) => ({ snapshot, createdAt }));
  const newest = made[0]?.createdAt ?? new Date(0);
  // Perhaps not whole: never kept in the place of one that is, and not needed once there is a younger one.
  const failed = present
    .filter(({ state, createdAt }) => state === "failed" && createdAt < newest)
    .map(({ snapshot, createdAt }) => ({ snapshot, createdAt, reasons: [] }));
  const ours = new Set([...made, ...failed].map(({ snapshot }) => snapshot));
  return {
    decisions: [...retain(made, keep, timeZone), ...failed],
    untouched: [...names].filter((name) => !ours.has(name)),
    gone: rows.map(({ snapshot }) => snapshot).filter((snapshot) => !names.has(snapshot)),
  };
}
