import type { Store } from "./store.ts";
import type { Json, KubernetesObject, Target } from "./types.ts";
import { countPods, replacePods, replicasOf, type WorkloadResource } from "./workload.ts";

/** The part of the way after which the change is noticed (observedGeneration), before pods are replaced. */
const NOTICED_AFTER = 0.3;

export type WorkloadTarget = Target & { readonly resource: WorkloadResource };

/** Brings a workload's pods and status after its spec, in two steps with a delay, as the real controllers do. */
export interface Controller {
  /** The spec changed, or a pod is gone. A newer change restarts the way. */
  readonly notice: (target: WorkloadTarget) => void;
  /** Milliseconds from a change to all pods ready; Infinity: the rollout never gets there. */
  readonly setReadyAfterMs: (milliseconds: number) => void;
  readonly stop: () => void;
}

export function startController(store: Store, initialReadyAfterMs: number): Controller {
  const timers = new Map<string, readonly NodeJS.Timeout[]>();
  let readyAfterMs = initialReadyAfterMs;
  const later = (milliseconds: number, work: () => void) => {
    // setTimeout(Infinity) would fire at once.
    return Number.isFinite(milliseconds) ? [setTimeout(work, milliseconds).unref()] : [];
  };
  const noticedAfterMs = () => (Number.isFinite(readyAfterMs) ? readyAfterMs * NOTICED_AFTER : 0);
  return {
    notice: (target) => {
      const key = `${target.resource}/${target.namespace ?? ""}/${target.name ?? ""}`;
      timers.get(key)?.forEach(clearTimeout);
      timers.set(key, [
        ...later(noticedAfterMs(), () => {
          writeStatus(store, target);
        }),
        ...later(readyAfterMs, () => {
          settle(store, target);
        }),
      ]);
    },
    setReadyAfterMs: (milliseconds) => {
      readyAfterMs = milliseconds;
    },
    stop: () => {
      for (const each of timers.values()) each.forEach(clearTimeout);
    },
  };
}

/** The end of a rollout: pods as the spec says, status as the pods are. Also how a workload is first made. */
export function settle(store: Store, target: WorkloadTarget): void {
  const workload = store.get(target);
  if (workload === undefined) return;
  replacePods(store, target.resource, workload);
  writeStatus(store, target);
}

/** Counts the pods as they are now. */
export function writeStatus(store: Store, target: WorkloadTarget): void {
  const workload = store.get(target);
  if (workload === undefined) return;
  const status =
    target.resource === "daemonsets"
      ? daemonSetStatus(store, workload)
      : statusOf(store, target.resource, workload);
  store.put(target.resource, { ...workload, status });
}

/** A DaemonSet counts nodes, and leaves out no required number. */
function daemonSetStatus(store: Store, workload: KubernetesObject): Json {
  const { updated, ready, all } = countPods(store, "daemonsets", workload);
  return {
    observedGeneration: workload.metadata.generation,
    desiredNumberScheduled: replicasOf(workload.spec),
    currentNumberScheduled: all,
    numberMisscheduled: 0,
    numberReady: ready,
    updatedNumberScheduled: updated,
    numberAvailable: ready,
  };
}

function statusOf(store: Store, resource: WorkloadResource, workload: KubernetesObject): Json {
  const { all, updated, ready } = countPods(store, resource, workload);
  const desired = replicasOf(workload.spec);
  const done = updated === desired && all === desired;
  const counts = {
    replicas: all,
    updatedReplicas: updated,
    readyReplicas: ready,
    availableReplicas: ready,
    unavailableReplicas: Math.max(0, desired - ready),
  };
  return {
    observedGeneration: workload.metadata.generation,
    // Go leaves zeros out, so a client that does not expect undefined must fail here too.
    ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
    conditions: [
      condition("Available", ready >= desired, "MinimumReplicas"),
      condition("Progressing", true, done ? "NewReplicaSetAvailable" : "ReplicaSetUpdated"),
    ],
  };
}

function condition(type: string, holds: boolean, reason: string): Json {
  const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  const shown = reason === "MinimumReplicas" ? `${reason}${holds ? "A" : "Una"}vailable` : reason;
  return {
    type,
    status: holds ? "True" : "False",
    reason: shown,
    message: "",
    lastUpdateTime: now,
    lastTransitionTime: now,
  };
}
