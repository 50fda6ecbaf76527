import type { Resource } from "./types.ts";

interface ResourceKind {
  /** "" is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly subresources: readonly string[];
}

/** What is served. The workloads' pods follow their specs; everything else is only kept, and shown as it was put. */
export const RESOURCES: Readonly<Record<Resource, ResourceKind>> = {
  deployments: workload("Deployment", ["scale"]),
  statefulsets: workload("StatefulSet", ["scale"]),
  daemonsets: workload("DaemonSet", []),
  replicasets: workload("ReplicaSet", []),
  controllerrevisions: workload("ControllerRevision", []),
  pods: core("Pod", ["eviction", "log"]),
  events: core("Event", []),
  configmaps: core("ConfigMap", []),
  resourcequotas: core("ResourceQuota", []),
  poddisruptionbudgets: of("policy", "v1", "PodDisruptionBudget"),
  horizontalpodautoscalers: of("autoscaling", "v2", "HorizontalPodAutoscaler"),
  jobs: of("batch", "v1", "Job"),
};

/** The `apiVersion` of its objects and lists. */
export function apiVersionOf(resource: Resource): string {
  const { group, version } = RESOURCES[resource];
  return group === "" ? version : `${group}/${version}`;
}

function workload(kind: string, subresources: readonly string[]): ResourceKind {
  return { group: "apps", version: "v1", kind, subresources };
}

function core(kind: string, subresources: readonly string[]): ResourceKind {
  return { group: "", version: "v1", kind, subresources };
}

function of(group: string, version: string, kind: string): ResourceKind {
  return { group, version, kind, subresources: [] };
}
