import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import { newId } from "../../lib/id.ts";
import type { Log } from "../../lib/log.ts";
import type { Database, Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Backend } from "../backends/types.ts";
import { appendDeed } from "../frame/record.ts";
import { insertOperation, organizationOf } from "../operations/table.ts";
import { DEEDS, type Claim, type Outcome, type Work } from "../operations/types.ts";
import { disable, forgetRemoved, lacksContainer } from "./without-container.ts";
import { nextOf, retentionOf, SCHEDULE, type Schedule } from "./table.ts";

export interface SchedulesDeps {
  readonly database: Database;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Log;
  /** Told after operations were written. */
  readonly kick: () => void;
}

const LOOK_EVERY_MS = 2_000;
const AT_ONCE_MAX = 100;

/**
 * Writes down the operations of the schedules that are due. The row's lock lets one replica do it, the next time stands in the same
 * transaction, and a container has one operation at a time: so no run overlaps another or comes twice. While something else
 * is done to the container it stays due; times that were missed meanwhile are one run.
 */
export async function runSchedules(deps: SchedulesDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await runDue(deps).catch((error: unknown) => {
      deps.log.warn("schedules not looked at", { error: messageOf(error) });
    });
    await deps.clock.sleep(LOOK_EVERY_MS, signal);
  }
}

async function runDue(deps: SchedulesDeps): Promise<void> {
  const { database } = deps;
  const { rows } = await database.query<{ id: string; due: boolean }>(
    `SELECT id, enabled AND next_at <= now() AS due FROM hypervisor_schedules
      WHERE (enabled AND next_at <= now()) OR prune_due ORDER BY next_at LIMIT $1`,
    [AT_ONCE_MAX],
  );
  for (const { id, due } of rows) {
    try {
      await (due ? snapshotNow(deps, id) : pruneNow(deps, id));
    } catch (error) {
      // Busy, or too much is to be done: it stays due. Anything else is no reason to leave out the other schedules.
      const busy = error instanceof HttpProblem && [409, 429].includes(error.status);
      if (!busy) deps.log.warn("schedule not run", { schedule: id, error: messageOf(error) });
    }
  }
}

async function lock(tx: Queryable, id: string, condition: string): Promise<Schedule | undefined> {
  const { rows } = await tx.query<Schedule>(
    `SELECT ${SCHEDULE} FROM hypervisor_schedules WHERE id = $1 AND ${condition} FOR UPDATE SKIP LOCKED`,
    [id],
  );
  return rows[0];
}

async function snapshotNow({ database, kick }: SchedulesDeps, id: string): Promise<void> {
  await database.inTransaction(async (tx) => {
    const schedule = await lock(tx, id, "enabled AND next_at <= now()");
    if (schedule === undefined) return;
    const { project, container, name } = schedule;
    const snapshot = `${name}-${new Date().toISOString().replaceAll(/\D/g, "").slice(0, 14)}`;
    const comment = `by the schedule ${name}`;
    const work: Work = { verb: "snapshot", project, name: container, snapshot, comment };
    await beginFor(tx, schedule, work, {
      resourceId: `${container}/${snapshot}`,
      summary: `Took the snapshot ${snapshot} of ${container}, as its schedule ${name} says`,
    });
    await tx.query(
      "INSERT INTO hypervisor_scheduled_snapshots (schedule_id, snapshot, state) VALUES ($1, $2, 'asked')",
      [id, snapshot],
    );
    await tx.query("UPDATE hypervisor_schedules SET next_at = $2 WHERE id = $1", [
      id,
      nextOf(schedule)?.toISOString() ?? null,
    ]);
  });
  kick();
}

async function pruneNow({ database, backend, kick }: SchedulesDeps, id: string): Promise<void> {
  const { rows } = await database.query<Schedule>(
    `SELECT ${SCHEDULE} FROM hypervisor_schedules WHERE id = $1`,
    [id],
  );
  const [known] = rows;
  if (known === undefined) return;
  const nothing = await keepsAll(database, backend, known);
  await database.inTransaction(async (tx) => {
    const schedule = await lock(tx, id, "prune_due");
    if (schedule === undefined) return;
    await tx.query("UPDATE hypervisor_schedules SET prune_due = false WHERE id = $1", [id]);
    if (nothing) return;
    const { project, container, name } = schedule;
    await beginFor(
      tx,
      schedule,
      { verb: "prune", project, name: container, schedule: id },
      {
        resourceId: id,
        summary: `Deleted snapshots of ${container} that its schedule ${name} does not keep`,
      },
    );
  });
  kick();
}

async function keepsAll(
  database: Database,
  backend: Backend,
  schedule: Schedule,
): Promise<boolean> {
  try {
    const { decisions } = await retentionOf(database, backend, schedule);
    return decisions.every(({ reasons }) => reasons.length > 0);
  } catch (error) {
    // Without the container there are no snapshots of it.
    if (error instanceof HttpProblem && error.status === 404) return true;
    throw error;
  }
}

/** The operation and its row `Started`, in the name of the schedule. @throws HttpProblem 409 while the container is busy */
async function beginFor(
  tx: Queryable,
  schedule: Schedule,
  work: Work,
  about: { readonly resourceId: string; readonly summary: string },
): Promise<void> {
  const id = newId("op");
  const { action, resource } = DEEDS[work.verb];
  const organization = await organizationOf(tx, schedule.project);
  const facts = { project: schedule.project, schedule: schedule.id };
  const common = { actor: `schedule:${schedule.id}`, ip: "", organization, summary: about.summary };
  await insertOperation(tx, { ...common, ...about, id, work, facts, scheduleId: schedule.id });
  await appendDeed(tx, {
    ...common,
    action,
    resource,
    id: about.resourceId,
    result: "Started",
    facts: { ...facts, operation: id },
  });
}

/** What schedules learn from the end of an operation, in that end's transaction. */
export async function noteScheduled(tx: Queryable, claim: Claim, outcome: Outcome): Promise<void> {
  const { scheduleId, work } = claim;
  await forgetRemoved(tx, claim, outcome);
  if (scheduleId === undefined) return;
  const error = outcome.kind === "failed" ? outcome.error : null;
  const taken = work.verb === "snapshot";
  await tx.query(
    `UPDATE hypervisor_schedules SET last_at = now(), last_status = $2, last_error = $3, prune_due = prune_due OR $4 WHERE id = $1`,
    [scheduleId, outcome.kind, error, taken && error === null],
  );
  if (!taken) return;
  if (lacksContainer(claim, outcome)) await disable(tx, claim);
  if (outcome.kind === "failed" && outcome.nothingDone === true) {
    // One of that name is somebody else's.
    await tx.query(
      "DELETE FROM hypervisor_scheduled_snapshots WHERE schedule_id = $1 AND snapshot = $2",
      [scheduleId, work.snapshot],
    );
    return;
  }
  await tx.query(
    "UPDATE hypervisor_scheduled_snapshots SET state = $3 WHERE schedule_id = $1 AND snapshot = $2",
    [scheduleId, work.snapshot, error === null ? "made" : "failed"],
  );
}
