import { correlationId } from "../../lib/correlation.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { AuditAction } from "../audit-actions.ts";
import { appendDeed } from "../frame/record.ts";
import { refuseHeld } from "./limit-changes.ts";
import { queueUp } from "./makings.ts";
import { appendLine } from "./progress-table.ts";
import { DEEDS, workSchema, type Claim, type Outcome, type Step, type Work } from "./types.ts";

/** An operation that was just asked for. */
export interface NewOperation {
  readonly id: string;
  readonly work: Work;
  readonly resourceId: string;
  /** The asker's; an organization that has the project sees it anyway. */
  readonly organization: string | undefined;
  readonly actor: string;
  readonly ip: string;
  readonly token?: string | undefined;
  readonly summary: string;
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
  readonly scheduleId?: string | undefined;
}

/**
 * What an operation has to itself: the container, or the name of the one that is to be made. An export takes long and changes
 * nothing of it, so it only keeps out the container's other exports.
 */
export function objectOf(work: Work): string {
  const name = work.verb === "clone" ? work.newName : work.name;
  const object = `${work.project}/${name}`;
  return work.verb === "export-snapshot" ? `${object}/export` : object;
}

/**
 * @param hasRoom asked when nobody else can accept anything for the organization any more
 * @throws HttpProblem 409 when another operation has the container, 429 when too many have not ended
 */
export async function insertOperation(
  tx: Queryable,
  operation: NewOperation,
  hasRoom?: (tx: Queryable) => Promise<void>,
): Promise<void> {
  const { id, work, resourceId, organization, actor, ip, token, summary, facts } = operation;
  await queueUp(tx, work.project, organization);
  await refuseHeld(tx, objectOf(work));
  await hasRoom?.(tx);
  const { action, resource } = DEEDS[work.verb];
  const { rowCount } = await tx.query(
    `INSERT INTO hypervisor_operations
       (id, kind, object, resource_type, resource_id, project, organization, actor, ip, token, correlation_id,
        summary, facts, work, schedule_id, status, message)
     VALUES ($1, $2, $3, $4, $5, $6, coalesce((SELECT organization_id FROM hypervisor_vdcs WHERE project = $6), $7),
             $8, $9, $10, $11, $12, $13, $14, $15, 'pending', 'accepted')
     ON CONFLICT (object) WHERE object IS NOT NULL AND status IN ('pending', 'in_progress') DO NOTHING`,
    [
      ...[id, action, objectOf(work), resource, resourceId, work.project, organization ?? null],
      ...[actor, ip, token ?? null, correlationId() ?? null, summary],
      ...[facts === undefined ? null : JSON.stringify(facts), JSON.stringify(work)],
      operation.scheduleId ?? null,
    ],
  );
  if (rowCount === 0) throw await busyProblem(tx, objectOf(work));
  await appendLine(tx, id);
}

/** So that dry runs and short actions tell it too. @throws HttpProblem 409 */
export async function refuseBusy(database: Queryable, object: string): Promise<void> {
  const { rows } = await database.query(
    "SELECT FROM hypervisor_operations WHERE object = $1 AND status IN ('pending', 'in_progress')",
    [object],
  );
  if (rows.length > 0) throw await busyProblem(database, object);
  await refuseHeld(database, object);
}

async function busyProblem(database: Queryable, object: string): Promise<HttpProblem> {
  const { rows } = await database.query<{ id: string; kind: string }>(
    "SELECT id, kind FROM hypervisor_operations WHERE object = $1 AND status IN ('pending', 'in_progress')",
    [object],
  );
  const [other] = rows;
  const which = other === undefined ? "An operation" : `The operation ${other.id} (${other.kind})`;
  const container = object.split("/").slice(0, 2).join("/");
  const detail = `${which} of the container ${container} is under way.`;
  return new HttpProblem(409, "Busy", detail, { "Retry-After": "2" });
}

interface Row {
  readonly id: string;
  readonly epoch: number;
  readonly kind: Claim["kind"];
  readonly resource_type: Claim["resource"];
  readonly resource_id: string;
  readonly organization: string | null;
  readonly actor: string;
  readonly ip: string;
  readonly token: string | null;
  readonly correlation_id: string | null;
  readonly summary: string;
  readonly facts: Readonly<Record<string, unknown>> | null;
  readonly schedule_id: string | null;
  readonly work: unknown;
  readonly started_at: Date;
}

/** Who claims, for how long at first, and what it takes. */
export interface Claimer {
  readonly owner: string;
  readonly leaseSeconds: number;
  /** Kinds that it has no room for now. */
  readonly without: readonly AuditAction[];
}

/** The oldest operation that nobody does; undefined when there is none. */
export async function claimNext(database: Database, claimer: Claimer): Promise<Claim | undefined> {
  for (;;) {
    const claimed = await claimOldest(database, claimer);
    if (claimed !== "unreadable") return claimed;
  }
}

async function claimOldest(
  database: Database,
  { owner, leaseSeconds, without }: Claimer,
): Promise<Claim | "unreadable" | undefined> {
  return database.inTransaction(async (tx) => {
    const { rows } = await tx.query<Row>(
      `UPDATE hypervisor_operations
          SET owner = $1, epoch = epoch + 1, expires_at = now() + make_interval(secs => $2), status = 'in_progress',
              started_at = coalesce(started_at, now()),
              message = CASE WHEN epoch = 0 THEN 'begun' ELSE 'taken over from a process that ended' END
        WHERE id = (SELECT id FROM hypervisor_operations
                     WHERE status IN ('pending', 'in_progress') AND work IS NOT NULL
                       AND (expires_at IS NULL OR expires_at < now()) AND kind <> ALL ($3)
                     ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, epoch::int, kind, resource_type, resource_id, organization, actor, ip, token, correlation_id,
                  summary, facts, schedule_id, work, started_at`,
      [owner, leaseSeconds, without],
    );
    const [row] = rows;
    if (row === undefined) return undefined;
    await appendLine(tx, row.id);
    const claim = claimOf(row);
    const work = workSchema.safeParse(row.work);
    if (work.success) return { ...claim, work: work.data };
    // Ended here and now: as the oldest it would be found again and again, and keep all others waiting.
    const error = "what was to be done is not known to this version";
    await writeEnd(tx, claim, { kind: "failed", error });
    return "unreadable";
  });
}

function claimOf(row: Row): Omit<Claim, "work"> {
  return {
    id: row.id,
    epoch: row.epoch,
    kind: row.kind,
    resource: row.resource_type,
    resourceId: row.resource_id,
    organization: row.organization ?? undefined,
    actor: row.actor,
    ip: row.ip,
    token: row.token ?? undefined,
    correlationId: row.correlation_id ?? undefined,
    summary: row.summary,
    facts: row.facts ?? undefined,
    scheduleId: row.schedule_id ?? undefined,
    startedAt: row.started_at,
  };
}

/** @returns whether it is still ours */
export async function renew(
  database: Queryable,
  { id, epoch }: Claim,
  leaseSeconds: number,
): Promise<boolean> {
  const { rowCount } = await database.query(
    `UPDATE hypervisor_operations SET expires_at = now() + make_interval(secs => $3)
      WHERE id = $1 AND epoch = $2 AND status = 'in_progress'`,
    [id, epoch, leaseSeconds],
  );
  return rowCount === 1;
}

/** Lets another process have it now, which will look at what became of it. */
export async function release(database: Queryable, { id, epoch }: Claim): Promise<void> {
  await database.query(
    `UPDATE hypervisor_operations SET expires_at = now() - interval '1 second'
      WHERE id = $1 AND epoch = $2 AND status = 'in_progress'`,
    [id, epoch],
  );
}

/** Without effect when the operation is not ours any more. */
export async function tellStep(
  database: Database,
  { id, epoch }: Claim,
  step: Step,
): Promise<void> {
  await database.inTransaction(async (tx) => {
    const { rowCount } = await tx.query(
      `UPDATE hypervisor_operations SET percent_complete = $3, message = $4
        WHERE id = $1 AND epoch = $2 AND status = 'in_progress'`,
      [id, epoch, step.percent, step.message],
    );
    if (rowCount === 1) await appendLine(tx, id);
  });
}

/**
 * The operation's end and its audit row, in one transaction with `more`.
 *
 * @returns false when another process has taken it over: then nothing was written
 */
export async function endOperation(
  database: Database,
  claim: Claim,
  outcome: Outcome,
  more: (tx: Queryable) => Promise<void>,
): Promise<boolean> {
  return database.inTransaction(async (tx) => {
    const written = await writeEnd(tx, claim, outcome);
    if (written) await more(tx);
    return written;
  });
}

async function writeEnd(
  tx: Queryable,
  claim: Omit<Claim, "work">,
  outcome: Outcome,
): Promise<boolean> {
  const failed = outcome.kind === "failed";
  const { rowCount } = await tx.query(
    `UPDATE hypervisor_operations
          SET status = $3, error = $4, result = $5, message = $6, work = NULL, expires_at = NULL, ended_at = now(),
              percent_complete = CASE WHEN $3 = 'completed' THEN 100 ELSE percent_complete END
        WHERE id = $1 AND epoch = $2 AND status = 'in_progress'`,
    [
      ...[claim.id, claim.epoch, outcome.kind, failed ? outcome.error : null],
      failed || outcome.result === undefined ? null : JSON.stringify(outcome.result),
      failed ? "failed" : outcome.message,
    ],
  );
  if (rowCount === 0) return false;
  await appendLine(tx, claim.id);
  await appendDeed(tx, {
    actor: claim.actor,
    action: claim.kind,
    resource: claim.resource,
    id: claim.resourceId,
    result: failed ? "Failure" : "Success",
    summary: failed ? `${claim.summary}: ${outcome.error}` : claim.summary,
    facts: { ...claim.facts, ...(failed ? {} : outcome.facts), operation: claim.id },
    ip: claim.ip,
    organization: claim.organization,
    token: claim.token,
  });
  return true;
}

/** Whose project it is; undefined for the platform's, and while the database does not answer. */
export async function organizationOf(
  database: Queryable,
  project: string,
): Promise<string | undefined> {
  const sql = "SELECT organization_id AS id FROM hypervisor_vdcs WHERE project = $1";
  const found = await database.query<{ id: string }>(sql, [project]).catch(() => undefined);
  return found?.rows[0]?.id;
}
