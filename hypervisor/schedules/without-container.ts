import type { Queryable } from "../../lib/postgres.ts";
import { appendDeed } from "../frame/record.ts";
import type { Claim, Outcome } from "../operations/types.ts";
import type { PlatformEvent } from "../types.ts";

/** A removed container's schedules go with it: a later one of that name is not theirs. In the transaction of the removal's end. */
export async function forgetRemoved(
  tx: Queryable,
  { id, work, actor, ip, organization, token }: Claim,
  outcome: Outcome,
): Promise<void> {
  if (work.verb !== "remove" || outcome.kind !== "completed") return;
  const { project, name: container } = work;
  const { rows } = await tx.query<{ name: string }>(
    `WITH gone AS (DELETE FROM hypervisor_schedules WHERE project = $1 AND container = $2 RETURNING name)
     SELECT name FROM gone ORDER BY name`,
    [project, container],
  );
  for (const { name } of rows) {
    await appendDeed(tx, {
      ...{ actor, ip, organization, token },
      action: "ScheduleDeleted",
      resource: "schedule",
      id: `${container}/${name}`,
      result: "Success",
      summary: `Deleted the snapshot schedule ${name} with its container ${container}`,
      facts: { project, operation: id },
    });
  }
}

/** The container was removed on the backend itself: no later run would find it, or it would find another one of that name. */
export function lacksContainer({ scheduleId, work }: Claim, outcome: Outcome): boolean {
  const isScheduled = scheduleId !== undefined && work.verb === "snapshot";
  return isScheduled && outcome.kind === "failed" && outcome.notFound === true;
}

/** Takes no more snapshots until somebody enables it again. */
export async function disable(
  tx: Queryable,
  { id, scheduleId, work, actor, ip, organization }: Claim,
): Promise<void> {
  const { rows } = await tx.query<{ name: string }>(
    `UPDATE hypervisor_schedules
        SET enabled = false, next_at = NULL, prune_due = false, version = version + 1, updated_at = now()
      WHERE id = $1 AND enabled RETURNING name`,
    [scheduleId],
  );
  for (const { name } of rows) {
    await appendDeed(tx, {
      ...{ actor, ip, organization },
      action: "ScheduleUpdated",
      resource: "schedule",
      id: `${work.name}/${name}`,
      result: "Success",
      summary: `Disabled the snapshot schedule ${name}: there is no container ${work.name}`,
      facts: { project: work.project, operation: id },
    });
  }
}

/** Tells people that a schedule has disabled itself. */
export function disabledEvent(claim: Claim, outcome: Outcome): PlatformEvent | undefined {
  if (!lacksContainer(claim, outcome)) return undefined;
  const { work, actor, organization } = claim;
  return {
    type: "Warning",
    reason: "ScheduleDisabled",
    message: `The snapshot schedules of ${work.name} take nothing more: there is no such container`,
    kind: "VM",
    name: work.name,
    namespace: organization ?? "",
    username: actor,
  };
}
