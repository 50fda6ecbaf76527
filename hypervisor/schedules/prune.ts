import type { Database } from "../../lib/postgres.ts";
import { messageOf } from "../../lib/error.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { appendDeed, type Deed } from "../frame/record.ts";
import type { Handler, Run, WorkOf } from "../operations/types.ts";
import { retentionOf, SCHEDULE, type Schedule } from "./table.ts";

type Prune = WorkOf<"prune">;

/** Deletes what a schedule keeps no longer. It decides anew each time, so that it may be done again after an interruption. */
export function pruneHandler(database: Database): Handler<Prune> {
  return {
    perform: async (work, run) => {
      const { rows } = await database.query<Schedule>(
        `SELECT ${SCHEDULE} FROM hypervisor_schedules WHERE id = $1`,
        [work.schedule],
      );
      const [schedule] = rows;
      if (schedule === undefined) return { deleted: [], kept: 0 }; // it was deleted meanwhile: nothing is ours any more
      const retention = await retentionOf(database, run.backend, schedule, run.signal);
      const { decisions, gone } = retention;
      const kept = decisions.filter(({ reasons }) => reasons.length > 0);
      const old = decisions.filter(({ reasons }) => reasons.length === 0);
      for (const snapshot of gone) await forget(database, work, snapshot);
      for (const [at, { snapshot }] of old.entries()) {
        await deleteOne(database, work, snapshot, run);
        const percent = Math.round((100 * (at + 1)) / (old.length + 1));
        await run.tell({ percent, message: `deleted ${snapshot}` });
      }
      return { deleted: old.map(({ snapshot }) => snapshot), kept: kept.length };
    },
    look: async () => Promise.resolve({ kind: "again" }),
  };
}

async function deleteOne(
  database: Database,
  work: Prune,
  snapshot: string,
  { backend, claim, signal }: Run,
): Promise<void> {
  const { project, name } = work;
  const deed = (result: Deed["result"], more = ""): Deed => ({
    actor: claim.actor,
    action: "SnapshotDeleted",
    resource: "snapshot",
    id: `${name}/${snapshot}`,
    result,
    summary: `Deleted the snapshot ${snapshot} of ${name}, which its schedule does not keep${more}`,
    facts: { project, operation: claim.id, schedule: work.schedule },
    ip: claim.ip,
    organization: claim.organization,
  });
  await appendDeed(database, deed("Started"));
  try {
    await backend.snapshots.remove({ project, name, snapshot }, { signal });
  } catch (error) {
    if (!(error instanceof HttpProblem && error.status === 404)) {
      await appendDeed(database, deed("Failure", `: ${messageOf(error)}`));
      throw error;
    }
  }
  await database.inTransaction(async (tx) => {
    await forget(tx, work, snapshot);
    await appendDeed(tx, deed("Success"));
  });
}

async function forget(
  database: Pick<Database, "query">,
  { schedule }: Prune,
  snapshot: string,
): Promise<void> {
  await database.query(
    "DELETE FROM hypervisor_scheduled_snapshots WHERE schedule_id = $1 AND snapshot = $2",
    [schedule, snapshot],
  );
}
