import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { workSchema, type Work, type WorkOf } from "./types.ts";

/** Work after which there is one container more. */
export type Making = WorkOf<"create"> | WorkOf<"clone">;

/** So many operations of an organization may wait or be done at once: eight slots are everybody's. */
const UNFINISHED_MAX = 20;

/** What was accepted for these projects and has not ended; `except` is the operation that asks. */
export async function unfinishedMakings(
  database: Queryable,
  projects: readonly string[],
  except = "",
): Promise<readonly Making[]> {
  const { rows } = await database.query<{ work: unknown }>(
    `SELECT work FROM hypervisor_operations
      WHERE status IN ('pending', 'in_progress') AND project = ANY ($1) AND id <> $2 AND work IS NOT NULL`,
    [projects, except],
  );
  return rows.flatMap(({ work }) => {
    const read = workSchema.safeParse(work);
    return read.success && isMaking(read.data) ? [read.data] : [];
  });
}

function isMaking(work: Work): work is Making {
  return work.verb === "create" || work.verb === "clone";
}

/**
 * Lets the transactions of one organization come one after the other, so that each sees what the one before has accepted.
 * The lock ends with the transaction.
 *
 * @returns the organization that has the project, else the given one
 */
export async function takeTurn(
  tx: Queryable,
  project: string,
  organization: string | undefined,
): Promise<string | undefined> {
  const { rows } = await tx.query<{ id: string | null }>(
    "SELECT coalesce((SELECT organization_id FROM hypervisor_vdcs WHERE project = $1), $2) AS id",
    [project, organization ?? null],
  );
  const id = rows[0]?.id ?? undefined;
  const key = id === undefined ? `project ${project}` : `organization ${id}`;
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [
    `hypervisor operations: ${key}`,
  ]);
  return id;
}

/**
 * {@link takeTurn} for what becomes an operation.
 *
 * @throws HttpProblem 429 when too many of the organization have not ended; the platform's own are not counted
 */
export async function queueUp(
  tx: Queryable,
  project: string,
  organization: string | undefined,
): Promise<void> {
  const id = await takeTurn(tx, project, organization);
  if (id === undefined) return;
  const unfinished = await tx.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM hypervisor_operations
      WHERE status IN ('pending', 'in_progress') AND object IS NOT NULL AND organization = $1`,
    [id],
  );
  if ((unfinished.rows[0]?.count ?? 0) < UNFINISHED_MAX) return;
  const detail = `${UNFINISHED_MAX} operations of ${id} have not ended yet: wait for one of them.`;
  throw new HttpProblem(429, "Too many requests", detail, { "Retry-After": "10" });
}
