import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Named, Resources } from "../backends/types.ts";

/** What holds a container for a moment: limits that it will have, or a short action, which changes none. */
export interface LimitChange extends Named, Resources {}

/** A backend that was asked and did not answer may still do it. */
const FORGOTTEN_AFTER_SECONDS = 300;

/** Those that are under way in these projects. */
export async function pendingChanges(
  database: Queryable,
  projects: readonly string[],
): Promise<readonly LimitChange[]> {
  const { rows } = await database.query<{
    object: string;
    project: string;
    cpus: number | null;
    memory_bytes: number | null;
  }>(
    `SELECT object, project, cpus, memory_bytes FROM hypervisor_limit_changes
      WHERE project = ANY ($1) AND expires_at > now()`,
    [projects],
  );
  return rows.map(({ object, project, cpus, memory_bytes: memoryBytes }) => ({
    project,
    name: object.slice(project.length + 1),
    cpus: cpus ?? undefined,
    memoryBytes: memoryBytes ?? undefined,
  }));
}

/**
 * @param seconds until it is forgotten, if nobody tells its end
 * @throws HttpProblem 409 while another one of the container is under way
 */
export async function beginChange(
  tx: Queryable,
  { project, name, cpus, memoryBytes }: LimitChange,
  seconds = FORGOTTEN_AFTER_SECONDS,
): Promise<void> {
  const object = `${project}/${name}`;
  const { rowCount } = await tx.query(
    `INSERT INTO hypervisor_limit_changes AS old (object, project, cpus, memory_bytes, expires_at)
     VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
     ON CONFLICT (object) DO UPDATE
        SET cpus = excluded.cpus, memory_bytes = excluded.memory_bytes, expires_at = excluded.expires_at
      WHERE old.expires_at <= now()`,
    [object, project, cpus ?? null, memoryBytes ?? null, seconds],
  );
  if (rowCount === 0) await refuseHeld(tx, object);
}

/** @throws HttpProblem 409 while a change of limits or a short action of the container is under way */
export async function refuseHeld(database: Queryable, object: string): Promise<void> {
  const { rows } = await database.query<{ limits: boolean }>(
    `SELECT cpus IS NOT NULL OR memory_bytes IS NOT NULL AS limits FROM hypervisor_limit_changes
      WHERE object = $1 AND expires_at > now()`,
    [object],
  );
  const [held] = rows;
  if (held === undefined) return;
  const what = held.limits ? "A change of the limits" : "An action";
  const detail = `${what} of the container ${object} is under way.`;
  throw new HttpProblem(409, "Busy", detail, { "Retry-After": "2" });
}

/** The backend has it, or has refused it. */
export async function endChange(database: Queryable, { project, name }: Named): Promise<void> {
  await database.query("DELETE FROM hypervisor_limit_changes WHERE object = $1", [
    `${project}/${name}`,
  ]);
}

/** A backend that was asked and did not answer may still do it: then the container is held for some minutes more. */
export async function orRelease<R>(
  { database, dryRun }: { readonly database: Queryable; readonly dryRun: boolean },
  place: Named,
  work: (asked: () => void) => Promise<R>,
): Promise<R> {
  if (dryRun) return work(() => undefined); // it holds nothing
  const backend = { isAsked: false };
  try {
    const answer = await work(() => {
      backend.isAsked = true;
    });
    await endChange(database, place).catch(() => undefined); // it is forgotten by itself
    return answer;
  } catch (error) {
    const isRefused = error instanceof HttpProblem && (error.status < 500 || error.status === 501);
    if (!backend.isAsked || isRefused) await endChange(database, place).catch(() => undefined);
    throw error;
  }
}
