import type { Target } from "./target.ts";

/** A workload as the actions need to know it. */
export interface Workload {
  readonly uid: string;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly resourceVersion: string;
  /** Wanted pods; of a DaemonSet, the nodes that it is to run on. */
  readonly replicas: number;
  readonly updatedReplicas: number;
  readonly availableReplicas: number;
  readonly paused: boolean;
  readonly restartedAt: string | undefined;
  /** The last run that restarted it; stays when somebody else restarts it afterwards. */
  readonly restartedBy: string | undefined;
  /** The tool that owns its definition and would undo a change of it, such as "Argo CD"; undefined when none is seen. */
  readonly managedBy: string | undefined;
}

/** A pod whose owner references end at the target. */
export interface Pod {
  readonly name: string;
  readonly uid: string;
  readonly ready: boolean;
  /** It was told to end, and does. */
  readonly leaving: boolean;
}

/** An autoscaler that decides about the target's number of pods. */
export interface Autoscaler {
  readonly name: string;
  readonly resourceVersion: string;
  readonly min: number;
  readonly max: number;
}

/** A disruption budget that covers pods of the target. */
export interface Budget {
  readonly name: string;
  /** Evictions that it lets through now. */
  readonly allowed: number;
}

/** A quota of the namespace that counts pods. */
export interface PodQuota {
  readonly name: string;
  readonly used: number;
  readonly hard: number;
}

/** What a write answers that has a precondition: the object may have moved on. */
export type Written = "accepted" | "conflict";

/** The cluster, as the actions need it. With `dryRun` the server only checks. Errors are {@link ClusterError}. */
export interface Cluster {
  /** Undefined when the object does not exist. */
  workload(target: Target): Promise<Workload | undefined>;
  pods(target: Target): Promise<readonly Pod[]>;
  autoscaler(target: Target): Promise<Autoscaler | undefined>;
  budgets(target: Target): Promise<readonly Budget[]>;
  podQuotas(namespace: string): Promise<readonly PodQuota[]>;
  /** Sets the restart annotation if the object still has `resourceVersion`. */
  restart(target: Target, request: RestartRequest): Promise<Written>;
  /** Sets the number of pods if the object still has `resourceVersion`. */
  scale(target: Target, request: ScaleRequest): Promise<Written>;
  /** Sets an autoscaler's minimum if it still has `resourceVersion`. */
  setMinimum(target: Target, autoscaler: string, request: ScaleRequest): Promise<Written>;
  /** Never deletes: disruption budgets are asked. "gone" when there is no pod of that uid any more. */
  evict(target: Target, request: EvictRequest): Promise<"accepted" | "gone">;
}

/** Counts what a share of sick workloads is taken of. */
export interface Census {
  /** Deployments, StatefulSets and DaemonSets; undefined when the cluster does not say. */
  countWorkloads(namespace: string): Promise<number | undefined>;
}

export interface RestartRequest {
  readonly resourceVersion: string;
  readonly restartedAt: string;
  readonly runId: string;
  readonly dryRun: boolean;
}

export interface ScaleRequest {
  readonly resourceVersion: string;
  readonly replicas: number;
  readonly dryRun: boolean;
}

export interface EvictRequest {
  readonly name: string;
  readonly uid: string;
  readonly dryRun: boolean;
}

/** What a server said when it refused, where it can be told apart. */
export type ClusterRefusal =
  "forbidden" | "unauthorized" | "throttled" | "pdb" | "pdb-misconfigured" | "conflict" | "invalid";

interface ClusterErrorOptions {
  readonly retryable: boolean;
  /** HTTP; undefined when there was no answer. */
  readonly status?: number | undefined;
  readonly reason?: ClusterRefusal | undefined;
  /** How long the server wants to be left alone; undefined when it did not say. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** Why a call to the cluster failed; `retryable` answers the caller's question. */
export class ClusterError extends Error {
  override readonly name = "ClusterError";
  readonly retryable: boolean;
  readonly status: number | undefined;
  readonly reason: ClusterRefusal | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: ClusterErrorOptions) {
    super(message, { cause: options.cause });
    this.retryable = options.retryable;
    this.status = options.status;
    this.reason = options.reason;
    this.retryAfterMs = options.retryAfterMs;
  }
}
