import type { Cluster, RestartRequest, ScaleRequest, Written } from "../../types/cluster.ts";
import { describeTarget, type Target } from "../../types/target.ts";
import { caller, type Call } from "./call.ts";
import type { Kubernetes } from "./connect.ts";
import { statusOf } from "./errors.ts";
import { evictPod, readPods, toPod } from "./pods.ts";
import { findAutoscaler, findBudgets, findPodQuotas } from "./preflight.ts";
import {
  FIELD_MANAGER,
  MERGE_PATCH,
  patchScale,
  patchWorkload,
  readWorkload,
  RESTARTED_AT,
  RUN_ID,
  toWorkload,
} from "./workload.ts";

/** What actions do in a Kubernetes cluster. */
export function kubernetesCluster(kubernetes: Kubernetes): Cluster {
  const call = caller(kubernetes);
  return {
    workload: async (target) =>
      call(`read ${describeTarget(target)}`, async (connection) =>
        orAbsent(async () => toWorkload(await readWorkload(connection, target))),
      ),
    pods: async (target) =>
      call(`list the pods of ${describeTarget(target)}`, async (connection) =>
        (await readPods(connection, target)).map(toPod),
      ),
    autoscaler: async (target) => findAutoscaler(call, target),
    budgets: async (target) => findBudgets(call, target),
    podQuotas: async (namespace) => findPodQuotas(call, namespace),
    restart: async (target, request) =>
      call(`patch ${describeTarget(target)}`, async ({ apps, options }) => {
        const patch = { ...patchOf(target, request), body: restartPatch(request) };
        return written(patchWorkload(apps, target.kind, patch, options(MERGE_PATCH)));
      }),
    scale: async (target, request) =>
      call(`scale ${describeTarget(target)}`, async ({ apps, options }) => {
        const patch = { ...patchOf(target, request), body: scalePatch(request) };
        return written(patchScale(apps, target.kind, patch, options(MERGE_PATCH)));
      }),
    setMinimum: async (target, autoscaler, request) =>
      setMinimum(call, { ...target, name: autoscaler }, request),
    evict: async (target, request) => evictPod(call, target, request),
  };
}

async function setMinimum(
  call: Call,
  { namespace, name }: Target,
  request: ScaleRequest,
): Promise<Written> {
  const { resourceVersion, replicas: minReplicas } = request;
  return call(`patch HorizontalPodAutoscaler ${namespace}/${name}`, async (connection) => {
    const { config, client, options } = connection;
    const autoscaling = config.makeApiClient(client.AutoscalingV2Api);
    const body = { metadata: { resourceVersion }, spec: { minReplicas } };
    const patch = { ...patchOf({ namespace, name }, request), body };
    return written(autoscaling.patchNamespacedHorizontalPodAutoscaler(patch, options(MERGE_PATCH)));
  });
}

function patchOf(
  { namespace, name }: Pick<Target, "namespace" | "name">,
  { dryRun }: { readonly dryRun: boolean },
) {
  return {
    namespace,
    name,
    fieldManager: FIELD_MANAGER,
    ...(dryRun ? { dryRun: "All" } : {}),
  };
}

/** The precondition makes it safe to send twice: the server refuses with 409 unless the object is still the one we read. */
function restartPatch({ resourceVersion, restartedAt, runId }: RestartRequest): object {
  return {
    metadata: { resourceVersion, annotations: { [RUN_ID]: runId } },
    spec: { template: { metadata: { annotations: { [RESTARTED_AT]: restartedAt } } } },
  };
}

function scalePatch({ resourceVersion, replicas }: ScaleRequest): object {
  return { metadata: { resourceVersion }, spec: { replicas } };
}

async function written(work: Promise<unknown>): Promise<Written> {
  try {
    await work;
    return "accepted";
  } catch (error) {
    if (statusOf(error) === 409) return "conflict";
    throw error;
  }
}

async function orAbsent<Answer>(work: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await work();
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
