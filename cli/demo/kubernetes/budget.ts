import { isObject } from "./patch.ts";
import { StatusError } from "./status.ts";
import type { Store } from "./store.ts";
import type { Json, KubernetesObject } from "./types.ts";
import { isReady, replicasOf, workloadOf } from "./workload.ts";

/** What the disruption controller writes into a budget's status. */
export function budgetStatus(store: Store, budget: KubernetesObject): Json {
  const { desired, healthy, expected } = arithmetic(store, budget);
  return {
    currentHealthy: healthy,
    desiredHealthy: desired,
    expectedPods: expected,
    disruptionsAllowed: Math.max(0, healthy - desired),
    observedGeneration: budget.metadata.generation ?? 1,
  };
}

/**
 * Whether a pod may be evicted. The texts are those of the API server's source (registry/core/pod/storage/eviction.go).
 *
 * @throws StatusError 429 when its budget is used up, 500 when it has more than one
 */
export function checkBudgets(store: Store, pod: KubernetesObject): void {
  const budgets = store
    .list("poddisruptionbudgets", pod.metadata.namespace)
    .filter((budget) => covers(budget, pod));
  if (budgets.length > 1) {
    const why =
      "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    throw new StatusError(500, "InternalError", why, { causes: [{ message: why }] });
  }
  const [budget] = budgets;
  if (budget === undefined) return;
  const { desired, healthy } = arithmetic(store, budget);
  // A pod that is not ready guards nothing, as long as enough others are (policy IfHealthyBudget).
  if (!isReady(pod) && desired > 0 && healthy >= desired) return;
  if (healthy > desired) return;
  const { name } = budget.metadata;
  const detail = `The disruption budget ${name} needs ${desired} healthy pods and has ${healthy} currently`;
  throw new StatusError(
    429,
    "TooManyRequests",
    "Cannot evict pod as it would violate the pod's disruption budget.",
    { causes: [{ reason: "DisruptionBudget", message: detail }] },
  );
}

function arithmetic(store: Store, budget: KubernetesObject) {
  const pods = store.list("pods", budget.metadata.namespace).filter((pod) => covers(budget, pod));
  const owners = new Map(
    pods.map((pod) => workloadOf(store, pod)?.object).map((owner) => [owner?.metadata.uid, owner]),
  );
  const wanted = [...owners.values()].reduce(
    (sum, owner) => sum + (owner === undefined ? 0 : replicasOf(owner.spec)),
    0,
  );
  const expected = Math.max(wanted, pods.length);
  const { minAvailable, maxUnavailable } = budget.spec;
  const desired =
    maxUnavailable === undefined
      ? share(minAvailable, expected)
      : Math.max(0, expected - share(maxUnavailable, expected));
  return { desired, expected, healthy: pods.filter(isReady).length };
}

/** A number, or a percentage rounded up, as the server does for both fields. */
function share(value: unknown, of: number): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") return Math.ceil((Number.parseInt(value, 10) / 100) * of);
  return 1; // minAvailable when the budget says nothing
}

function covers({ spec, metadata }: KubernetesObject, pod: KubernetesObject): boolean {
  const selector = isObject(spec["selector"]) ? spec["selector"]["matchLabels"] : undefined;
  if (!isObject(selector) || metadata.namespace !== pod.metadata.namespace) return false;
  const labels: Json = pod.metadata.labels ?? {};
  return Object.entries(selector).every(([label, value]) => labels[label] === value);
}
