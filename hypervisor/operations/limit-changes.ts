import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Named, Resources } from "../backends/types.ts";

/** Limits that a container will have in a moment. */
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

/** @throws HttpProblem 409 while another one of the container is under way */
export async function beginChange(
  tx: Queryable,
  { project, name, cpus, memoryBytes }: LimitChange,
): Promise<void> {
  const object = `${project}/${name}`;
  const { rowCount } = await tx.query(
    `INSERT INTO hypervisor_limit_changes AS old (object, project, cpus, memory_bytes, expires_at)
     VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
     ON CONFLICT (object) DO UPDATE
        SET cpus = excluded.cpus, memory_bytes = excluded.memory_bytes, expires_at = excluded.expires_at
      WHERE old.expires_at <= now()`,
    [object, project, cpus ?? null, memoryBytes ?? null, FORGOTTEN_AFTER_SECONDS],
  );
  if (rowCount === 1) return;
  const detail = `A change of the limits of the container ${object} is under way.`;
  throw new HttpProblem(409, "Busy", detail, { "Retry-After": "2" });
}

/** The backend has it, or has refused it. */
export async function endChange(database: Queryable, { project, name }: Named): Promise<void> {
  await database.query("DELETE FROM hypervisor_limit_changes WHERE object = $1", [
    `${project}/${name}`,
  ]);
}
