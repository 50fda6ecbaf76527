import { replicasOf } from "./deployment.ts";
import type { Store } from "./store.ts";
import type { Json, KubernetesObject, Target } from "./types.ts";
import { countPods, replacePods } from "./workload.ts";

/** The part of the way after which the change is noticed (observedGeneration), before pods are replaced. */
const NOTICED_AFTER = 0.3;

/** Brings a Deployment's pods and status after its spec, in two steps with a delay, as the real controllers do. */
export interface Controller {
  /** The spec changed, or a pod is gone. A newer change restarts the way. */
  readonly notice: (deployment: KubernetesObject) => void;
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
    notice: ({ metadata: { uid, namespace, name } }) => {
      const target: Target = { resource: "deployments", group: "apps", namespace, name };
      timers.get(uid)?.forEach(clearTimeout);
      timers.set(uid, [
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

/** The end of a rollout: pods as the spec says, status as the pods are. Also how a Deployment is first made. */
export function settle(store: Store, target: Target): void {
  const deployment = store.get(target);
  if (deployment === undefined) return;
  replacePods(store, deployment);
  writeStatus(store, target);
}

function writeStatus(store: Store, target: Target): void {
  const deployment = store.get(target);
  if (deployment === undefined) return;
  store.put("deployments", { ...deployment, status: statusOf(store, deployment) });
}

function statusOf(store: Store, deployment: KubernetesObject): Json {
  const { all, updated } = countPods(store, deployment);
  const desired = replicasOf(deployment.spec);
  const done = updated === desired && all === desired;
  const counts = {
    replicas: all,
    updatedReplicas: updated,
    readyReplicas: all,
    availableReplicas: all,
    unavailableReplicas: Math.max(0, desired - all),
  };
  return {
    observedGeneration: deployment.metadata.generation,
    // Go leaves zeros out, so a client that does not expect undefined must fail here too.
    ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
    conditions: [
      condition("Available", all >= desired, "MinimumReplicas"),
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
