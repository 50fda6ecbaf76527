import type { Queryable } from "../../lib/postgres.ts";
import type { Status } from "./types.ts";
import { utcColumn, utcColumns } from "../utc-column.ts";

/** Lines of a history; the oldest go. */
export const HISTORY_MAX = 1_000;

/** Who may see an operation: undefined sees all. */
export interface Viewer {
  readonly organization: string | undefined;
}

/** One operation or workflow as the API shows it. */
export interface Progress {
  /** Where it is kept: {@link keyOf}. */
  readonly key: string;
  readonly workflow_id: string;
  readonly kind: string;
  /** What a worker calls its kind of work. */
  readonly work_kind: string | null;
  readonly status: Status;
  readonly percent_complete: number;
  readonly message: string;
  readonly step: string | null;
  readonly resource_type: string;
  readonly resource_id: string;
  readonly project: string | null;
  readonly organization: string | null;
  readonly started_by: string;
  readonly summary: string;
  readonly correlation_id: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly updated_at: string;
  readonly ended_at: string | null;
  readonly result: Readonly<Record<string, unknown>> | null;
  readonly error: string | null;
}

export interface Line {
  readonly workflow_id: string;
  readonly line: number;
  readonly at: string;
  readonly status: Status;
  readonly percent_complete: number;
  readonly message: string;
  readonly step: string | null;
}

/**
 * Under what a workflow is kept: each organization's ids are its own. Our own ids are everybody's, and the platform's stand as
 * they are.
 */
export function keyOf(id: string, organization: string | undefined): string {
  return organization === undefined || id.startsWith("op_") ? id : `${organization}/${id}`;
}

/** No id has a slash. */
const shownId = (column: string) => `regexp_replace(${column}, '^[^/]*/', '') AS workflow_id`;

const PROGRESS = `id AS key, ${shownId("id")}, kind, work_kind, organization, status, percent_complete, message, step, resource_type, resource_id, project,
  actor AS started_by, summary, correlation_id, ${utcColumns(["created_at", "started_at", "updated_at", "ended_at"], { milliseconds: true })},
  result, error`;
const LINE = `${shownId("operation_id")}, line::int AS line, ${utcColumn("at", { milliseconds: true })}, status, percent_complete, message, step`;

/** Writes the row's present state into its history; in the transaction of the change. */
export async function appendLine(tx: Queryable, id: string): Promise<void> {
  await tx.query(
    `WITH now_so AS (
       UPDATE hypervisor_operations SET updates = updates + 1, updated_at = now() WHERE id = $1
       RETURNING id, updates, status, percent_complete, coalesce(error, message) AS message, step
     ), gone AS (
       DELETE FROM hypervisor_progress
        WHERE operation_id = $1 AND line <= (SELECT updates FROM now_so) - ${HISTORY_MAX}
     )
     INSERT INTO hypervisor_progress (operation_id, line, status, percent_complete, message, step)
     SELECT id, updates, status, percent_complete, message, step FROM now_so`,
    [id],
  );
}

/** By its key. Undefined also for another organization's. */
export async function findProgress(
  database: Queryable,
  key: string,
  { organization }: Viewer,
): Promise<Progress | undefined> {
  const { rows } = await database.query<Progress>(
    `SELECT ${PROGRESS} FROM hypervisor_operations
      WHERE id = $1 AND ($2::text IS NULL OR organization = $2)`,
    [key, organization ?? null],
  );
  return rows[0];
}

/**
 * The tenant's one of that id, for whoever sees all of them.
 *
 * @returns "several" when more than one tenant has one
 */
export async function findTenantsWorkflow(
  database: Queryable,
  id: string,
): Promise<Progress | "several" | undefined> {
  const { rows } = await database.query<Progress>(
    `SELECT ${PROGRESS} FROM hypervisor_operations
      WHERE kind = 'workflow' AND resource_id = $1 AND organization IS NOT NULL LIMIT 2`,
    [id],
  );
  return rows.length > 1 ? "several" : rows[0];
}

export interface ProgressQuery {
  readonly status?: Status | undefined;
  readonly kind?: string | undefined;
  readonly project?: string | undefined;
  readonly resource_id?: string | undefined;
  readonly limit: number;
  /** Only those before this key. */
  readonly before?: string | undefined;
}

/** The newest first. */
export async function listProgress(
  database: Queryable,
  { status, kind, project, resource_id, limit, before }: ProgressQuery,
  { organization }: Viewer,
): Promise<readonly Progress[]> {
  const { rows } = await database.query<Progress>(
    `SELECT ${PROGRESS} FROM hypervisor_operations
      WHERE ($1::text IS NULL OR organization = $1) AND ($2::text IS NULL OR status = $2)
        AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR project = $4)
        AND ($5::text IS NULL OR resource_id = $5) AND ($6::text IS NULL OR id < $6)
      ORDER BY id DESC LIMIT $7`,
    [
      ...[organization, status, kind, project, resource_id, before].map((each) => each ?? null),
      limit,
    ],
  );
  return rows;
}

/** Oldest first; lines after `after`. */
export async function readHistory(
  database: Queryable,
  key: string,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<readonly Line[]> {
  const { rows } = await database.query<Line>(
    `SELECT ${LINE} FROM hypervisor_progress WHERE operation_id = $1 AND line > $2 ORDER BY line LIMIT $3`,
    [key, after, limit],
  );
  return rows;
}

/**
 * How long the newest ones of a kind took that ended well, in seconds. Workers' workflows are of all kinds: those are compared by
 * what their organization's workers call their work, and without such a word with nothing.
 */
export async function readDurations(
  database: Queryable,
  { kind, work_kind, organization }: Pick<Progress, "kind" | "work_kind" | "organization">,
  limit: number,
): Promise<readonly number[]> {
  const alike =
    kind === "workflow" ? "work_kind = $3 AND organization IS NOT DISTINCT FROM $4" : "true";
  const more = kind === "workflow" ? [work_kind, organization] : [];
  const { rows } = await database.query<{ seconds: number }>(
    `SELECT extract(epoch FROM ended_at - started_at)::float8 AS seconds FROM hypervisor_operations
      WHERE kind = $1 AND ${alike} AND status = 'completed' AND started_at IS NOT NULL
      ORDER BY ended_at DESC LIMIT $2`,
    [kind, limit, ...more],
  );
  return rows.map(({ seconds }) => seconds);
}

export interface Told {
  readonly id: string;
  readonly status: Status;
  readonly percent: number;
  readonly message: string;
  readonly step: string | undefined;
  readonly error: string | undefined;
  readonly workKind: string | undefined;
  readonly actor: string;
  readonly ip: string;
  readonly organization: string | undefined;
}

/** A workflow before its worker's next word. */
export interface Before {
  readonly kind: string;
  readonly status: Status;
  /** Null: the platform's. */
  readonly organization: string | null;
}

/** The row as it is now, locked until the transaction's end. */
export async function lockWorkflow(tx: Queryable, key: string): Promise<Before | undefined> {
  const { rows } = await tx.query<Before>(
    "SELECT kind, status, organization FROM hypervisor_operations WHERE id = $1 FOR UPDATE",
    [key],
  );
  return rows[0];
}

/**
 * A worker's word about its own workflow, which begins with the first one.
 *
 * @returns false when somebody else has begun one of that id at once: then nothing was written
 */
export async function tellWorkflow(tx: Queryable, told: Told): Promise<boolean> {
  const { id, status, percent, message, step, error, actor, ip, organization, workKind } = told;
  const key = keyOf(id, organization);
  const { rowCount } = await tx.query(
    `INSERT INTO hypervisor_operations AS old
       (id, kind, resource_type, resource_id, organization, actor, ip, summary, status, percent_complete, message, step,
        error, work_kind, started_at, ended_at)
     VALUES ($1, 'workflow', 'workflow', $11, $2, $3, $4, $11, $5, $6, $7, $8, $9, $12, now(),
             CASE WHEN $10 THEN now() END)
     ON CONFLICT (id) DO UPDATE
        SET status = excluded.status, percent_complete = excluded.percent_complete, message = excluded.message,
            step = excluded.step, error = excluded.error, ended_at = excluded.ended_at,
            work_kind = coalesce(excluded.work_kind, old.work_kind)
      WHERE old.kind = 'workflow' AND old.ended_at IS NULL AND old.organization IS NOT DISTINCT FROM excluded.organization`,
    [
      ...[key, organization ?? null, actor, ip, status, percent, message, step ?? null],
      ...[
        error ?? null,
        ["completed", "failed", "cancelled"].includes(status),
        id,
        workKind ?? null,
      ],
    ],
  );
  if (rowCount === 0) return false;
  await appendLine(tx, key);
  return true;
}
