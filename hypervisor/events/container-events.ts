import type { AuditAction } from "../audit-actions.ts";
import type { Action } from "../backends/types.ts";
import type { Claim, Outcome } from "../operations/types.ts";
import type { PlatformEvent } from "../types.ts";

interface Told {
  readonly reason: string;
  /** As in "VM web was created by ana". */
  readonly done: string;
  readonly failed: string;
}

/** Reasons that the platform's people know: containers and machines are both its VMs. */
const OPERATIONS: Partial<Readonly<Record<AuditAction, Told>>> = {
  ContainerCreated: { reason: "VMCreated", done: "created", failed: "ProvisioningFailed" },
  ContainerDeleted: { reason: "VMDeleted", done: "deleted", failed: "DeletionFailed" },
  SnapshotCreated: { reason: "SnapshotCreated", done: "snapshotted", failed: "SnapshotFailed" },
  SnapshotRestored: { reason: "SnapshotRestored", done: "restored", failed: "RestoreFailed" },
  SnapshotCloned: { reason: "VMCreated", done: "cloned", failed: "ProvisioningFailed" },
  SnapshotDeleted: {
    reason: "SnapshotDeleted",
    done: "rid of a snapshot",
    failed: "SnapshotFailed",
  },
  SnapshotExported: {
    reason: "SnapshotExported",
    done: "exported",
    failed: "SnapshotExportFailed",
  },
  SnapshotsPruned: {
    reason: "SnapshotsPruned",
    done: "rid of old snapshots",
    failed: "PruneFailed",
  },
};

const ACTIONS: Readonly<Record<Action, Told>> = {
  start: { reason: "VMStarted", done: "started", failed: "StartupFailed" },
  restart: { reason: "VMStarted", done: "restarted", failed: "StartupFailed" },
  resume: { reason: "VMStarted", done: "resumed", failed: "StartupFailed" },
  stop: { reason: "VMStopped", done: "stopped", failed: "StopFailed" },
  pause: { reason: "VMStopped", done: "paused", failed: "StopFailed" },
};

/** The event of an operation's end. */
export function operationEvent(claim: Claim, outcome: Outcome): PlatformEvent | undefined {
  const told = OPERATIONS[claim.kind];
  if (told === undefined) return undefined;
  const { work, actor, organization } = claim;
  const name = work.verb === "clone" ? work.newName : work.name;
  const failed = outcome.kind === "failed" ? outcome.error : undefined;
  // Made, but not started: the seed's word for it is another one.
  const startup = work.verb === "create" && failed?.startsWith(NOT_STARTED) === true;
  const words = startup ? { ...told, failed: ACTIONS.start.failed } : told;
  return eventOf(words, { name, username: actor, organization, failed });
}

/** How the error of a container begins that was made and could not be started. */
export const NOT_STARTED = "made, but not started";

/** The event of a start, a stop, … @param failed why it was not done */
export function actionEvent(
  action: Action,
  about: {
    readonly name: string;
    readonly username: string;
    readonly organization: string | undefined;
    readonly failed?: string;
  },
): PlatformEvent {
  return eventOf(ACTIONS[action], { failed: undefined, ...about });
}

function eventOf(
  { reason, done, failed: failedReason }: Told,
  about: {
    readonly name: string;
    readonly username: string;
    readonly organization: string | undefined;
    readonly failed: string | undefined;
  },
): PlatformEvent {
  const { name, username, organization, failed } = about;
  const object = { kind: "VM", name, namespace: organization ?? "", username };
  return failed === undefined
    ? { ...object, type: "Normal", reason, message: `VM ${name} was ${done} by ${username}` }
    : {
        ...object,
        type: "Warning",
        reason: failedReason,
        message: `VM ${name} was not ${done} for ${username}: ${failed}`,
      };
}
