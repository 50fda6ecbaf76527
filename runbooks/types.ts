import type { Alert, AlertFrame } from "../lib/contracts.ts";
import type { Queryable } from "../lib/postgres.ts";

/** What an alert is about, in the cluster's own names. */
export interface Target {
  readonly cluster: string;
  readonly namespace: string;
  readonly kind: "deployment";
  readonly name: string;
}

/** A procedure for a kind of alert. It names the trigger under which the policy says what may be done. */
export interface Runbook {
  readonly id: string;
  /** The policy's name for the situation; the alert's `metric` label when undefined. */
  readonly trigger: string | undefined;
  readonly matches: (alert: Pick<Alert, "labels">) => boolean;
}

export type ActionName = "rollout_restart";

/** What would be done, frozen before anybody is asked: the approval is for exactly this, by its hash. */
export interface Plan {
  readonly action: ActionName;
  readonly target: Target;
  /** The Deployment's `metadata.generation` when the plan was made: if it moves, somebody else changed the object. */
  readonly generation: number;
  readonly replicas: number;
  /** RFC 3339; the value of the restart annotation. Fixed, so that the same plan restarts once however often it is sent. */
  readonly restartedAt: string;
  /** Part of the plan, so that an approval of a dry run never lets a real one through. */
  readonly dryRun: boolean;
  readonly summary: string;
}

export const ACTIVE_STATES = [
  "matched",
  "approval_pending",
  "approved",
  "intent",
  "verifying",
] as const;
export type ActiveState = (typeof ACTIVE_STATES)[number];

export type SkippedState =
  | "skipped_disabled"
  | "skipped_no_policy"
  | "skipped_no_approval"
  | "skipped_circuit"
  | "skipped_dry_run"
  | "skipped_truncated"
  | "skipped_target";

type FinalState =
  | SkippedState
  | "succeeded"
  | "failed"
  | "unknown"
  | "rejected"
  | "expired"
  | "plan_stale"
  | "resolved_before_action";

export type RunState = ActiveState | FinalState;

/** The alert that opened a run, as decide() sees it. */
export interface Trigger {
  readonly trigger: string;
  readonly reason: string;
  readonly alertname: string;
  readonly source: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  /** Alertmanager cut the group: the blast radius is not known. */
  readonly truncated: boolean;
}

export interface Run {
  readonly id: string;
  readonly targetKey: string;
  readonly runbook: string;
  readonly state: RunState;
  readonly namespace: string;
  readonly app: string;
  readonly trigger: Trigger;
  readonly plan: Plan | undefined;
  readonly planHash: string | undefined;
  readonly leaseToken: string;
  /** Nothing is changed in the cluster after this time. */
  readonly deadlineAt: Date;
  readonly stateSince: Date;
  /** The database's time when this was read: one clock for all replicas. */
  readonly now: Date;
  readonly correlationId: string | undefined;
  readonly traceparent: string | undefined;
  readonly createdAt: Date;
}

/** A row of the record. */
export interface AuditEvent {
  readonly event: string;
  readonly actor: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** The Deployment as the actions need to know it. */
export interface Workload {
  readonly generation: number;
  readonly observedGeneration: number;
  readonly resourceVersion: string;
  readonly replicas: number;
  readonly updatedReplicas: number;
  readonly availableReplicas: number;
  readonly paused: boolean;
  readonly restartedAt: string | undefined;
  /** The last run that restarted it; stays when somebody else restarts it afterwards. */
  readonly restartedBy: string | undefined;
}

/** The cluster, as narrow as the actions need it. Errors are {@link ClusterError}. */
export interface Cluster {
  /** Undefined when the object does not exist. */
  workload(target: Target): Promise<Workload | undefined>;
  /** Sets the restart annotation if the object still has `resourceVersion`; with `dryRun` the server only checks. */
  restart(target: Target, request: RestartRequest): Promise<"accepted" | "conflict">;
}

export interface RestartRequest {
  readonly resourceVersion: string;
  readonly restartedAt: string;
  readonly runId: string;
  readonly dryRun: boolean;
}

/** Why a call to the cluster failed; `retryable` answers the caller's question. */
export class ClusterError extends Error {
  override readonly name = "ClusterError";
  readonly retryable: boolean;

  constructor(message: string, options: { readonly retryable: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.retryable = options.retryable;
  }
}

/** A faster view of the breaker, shared by replicas. It may only say no; Postgres says yes. */
export interface BreakerView {
  /** Undefined when it cannot be known, which counts as no. */
  used(appKey: string): Promise<{ readonly hour: number; readonly day: number } | undefined>;
  taken(appKey: string, runId: string): Promise<void>;
}

export interface BreakerLimits {
  readonly hourly: number;
  readonly daily: number;
}

/** What a delivery is made of once its sender is known and its bytes are read. */
export interface Delivery {
  readonly source: string;
  readonly raw: Buffer;
  readonly frame: AlertFrame;
}

/** Sends a job in the transaction that made it necessary. */
export type Enqueue = (
  tx: Queryable,
  queue: "runbooks-inbox" | "runbooks-run",
  data: object,
) => Promise<void>;
