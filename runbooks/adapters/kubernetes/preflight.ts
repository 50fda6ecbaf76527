import type { Autoscaler, Budget, Census, PodQuota } from "../../types/cluster.ts";
import { describeTarget, kindWord, type Target } from "../../types/target.ts";
import { caller, type Call } from "./call.ts";
import type { Connection, Kubernetes } from "./connect.ts";
import { readWorkload, selects } from "./workload.ts";

/** The autoscaler whose target is this workload. */
export async function findAutoscaler(call: Call, target: Target): Promise<Autoscaler | undefined> {
  return call(`list the autoscalers of ${describeTarget(target)}`, async (connection) => {
    const { config, client, options } = connection;
    const autoscaling = config.makeApiClient(client.AutoscalingV2Api);
    const { items } = await autoscaling.listNamespacedHorizontalPodAutoscaler(
      { namespace: target.namespace },
      options(),
    );
    const found = items.find(({ spec }) => {
      const { kind, name } = spec.scaleTargetRef;
      return kind === kindWord(target) && name === target.name;
    });
    if (found === undefined) return undefined;
    return {
      name: found.metadata?.name ?? "",
      resourceVersion: found.metadata?.resourceVersion ?? "",
      min: found.spec.minReplicas ?? 1, // the API server's own default
      max: found.spec.maxReplicas,
    };
  });
}

/** The disruption budgets whose selector takes in the labels of the target's pods. */
export async function findBudgets(call: Call, target: Target): Promise<readonly Budget[]> {
  return call(`list the disruption budgets of ${describeTarget(target)}`, async (connection) => {
    const { config, client, options } = connection;
    const workload = await readWorkload(connection, target);
    const labels = workload.spec?.template.metadata?.labels ?? {};
    const policy = config.makeApiClient(client.PolicyV1Api);
    const { items } = await policy.listNamespacedPodDisruptionBudget(
      { namespace: target.namespace },
      options(),
    );
    return items
      .filter(({ spec }) => spec?.selector !== undefined && selects(spec.selector, labels))
      .map(({ metadata, status }) => ({
        name: metadata?.name ?? "",
        allowed: status?.disruptionsAllowed ?? 0,
      }));
  });
}

const POD_COUNTS = ["pods", "count/pods"];

/** The quotas of the namespace that count pods. Memory and CPU are not added up: the pods' controller will say. */
export async function findPodQuotas(call: Call, namespace: string): Promise<readonly PodQuota[]> {
  return call(`list the quotas of ${namespace}`, async ({ config, client, options }) => {
    const core = config.makeApiClient(client.CoreV1Api);
    const { items } = await core.listNamespacedResourceQuota({ namespace }, options());
    return items.flatMap(({ metadata, spec, status }) =>
      POD_COUNTS.flatMap((count) => {
        const hard = status?.hard?.[count] ?? spec?.hard?.[count];
        if (hard === undefined) return [];
        const used = Number(status?.used?.[count] ?? 0);
        return [{ name: metadata?.name ?? "", used, hard: Number(hard) }];
      }),
    );
  });
}

/** Counts workloads; a cluster that does not answer, or forbids it, leaves the count unknown. */
export function kubernetesCensus(kubernetes: Kubernetes): Census {
  const call = caller(kubernetes);
  return {
    countWorkloads: async (namespace) =>
      call(`count the workloads of ${namespace}`, async (connection) =>
        countWorkloads(connection, namespace),
      ).catch(() => undefined),
  };
}

async function countWorkloads({ apps, options }: Connection, namespace: string): Promise<number> {
  const [deployments, statefulSets, daemonSets] = await Promise.all([
    apps.listNamespacedDeployment({ namespace }, options()),
    apps.listNamespacedStatefulSet({ namespace }, options()),
    apps.listNamespacedDaemonSet({ namespace }, options()),
  ]);
  return deployments.items.length + statefulSets.items.length + daemonSets.items.length;
}
