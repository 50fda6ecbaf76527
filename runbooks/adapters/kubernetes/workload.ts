import type {
  AppsV1Api,
  V1DaemonSet,
  V1DaemonSetStatus,
  V1Deployment,
  V1LabelSelector,
  V1ObjectMeta,
  V1StatefulSet,
} from "@kubernetes/client-node";
import { ClusterError, type Workload } from "../../types/cluster.ts";
import { describeTarget, type Target } from "../../types/target.ts";
import type { Connection } from "./connect.ts";

/** kubectl's own annotation, so that `kubectl rollout history` and people see what they know. */
export const RESTARTED_AT = "kubectl.kubernetes.io/restartedAt";
export const RUN_ID = "fettle.dev/run-id";
export const FIELD_MANAGER = "fettle";
export const MERGE_PATCH = "application/merge-patch+json";

type KubernetesWorkload = V1Deployment | V1StatefulSet | V1DaemonSet;
type Options = Parameters<AppsV1Api["readNamespacedDeployment"]>[1];

interface Patch {
  readonly namespace: string;
  readonly name: string;
  readonly body: object;
  readonly fieldManager: string;
  readonly dryRun?: string;
}

/** @throws the client's own errors */
export async function readWorkload(
  { apps, options }: Connection,
  target: Target,
): Promise<KubernetesWorkload> {
  const where = { namespace: target.namespace, name: target.name };
  switch (target.kind) {
    case "deployment":
      return apps.readNamespacedDeployment(where, options());
    case "statefulset":
      return apps.readNamespacedStatefulSet(where, options());
    case "daemonset":
      return apps.readNamespacedDaemonSet(where, options());
    case "container":
      throw notOurs(target);
  }
}

export async function patchWorkload(
  apps: AppsV1Api,
  kind: Target["kind"],
  patch: Patch,
  options: Options,
): Promise<unknown> {
  switch (kind) {
    case "deployment":
      return apps.patchNamespacedDeployment(patch, options);
    case "statefulset":
      return apps.patchNamespacedStatefulSet(patch, options);
    case "daemonset":
      return apps.patchNamespacedDaemonSet(patch, options);
    case "container":
      throw notOurs({ ...patch, kind });
  }
}

export async function patchScale(
  apps: AppsV1Api,
  kind: Target["kind"],
  patch: Patch,
  options: Options,
): Promise<unknown> {
  switch (kind) {
    case "deployment":
      return apps.patchNamespacedDeploymentScale(patch, options);
    case "statefulset":
      return apps.patchNamespacedStatefulSetScale(patch, options);
    case "daemonset":
    case "container":
      throw notOurs({ ...patch, kind });
  }
}

function notOurs(target: Pick<Target, "kind" | "namespace" | "name">): ClusterError {
  const message = `${describeTarget(target)} cannot be had from Kubernetes`;
  return new ClusterError(message, { retryable: false });
}

export function toWorkload(object: KubernetesWorkload): Workload {
  const { metadata, spec } = object;
  return {
    ...identityOf(metadata),
    paused: spec !== undefined && "paused" in spec && (spec.paused ?? false),
    restartedAt: spec?.template.metadata?.annotations?.[RESTARTED_AT],
    restartedBy: metadata?.annotations?.[RUN_ID],
    managedBy: managerOf(metadata),
    observedGeneration: object.status?.observedGeneration ?? 0,
    ...countsOf(object),
  };
}

function identityOf(metadata: V1ObjectMeta | undefined) {
  return {
    uid: metadata?.uid ?? "",
    generation: metadata?.generation ?? 0,
    resourceVersion: metadata?.resourceVersion ?? "",
  };
}

/** The controllers leave out what is 0. */
function countsOf({ spec, status }: KubernetesWorkload) {
  if (status !== undefined && "desiredNumberScheduled" in status) return nodesOf(status);
  const counts: { readonly updatedReplicas?: number; readonly availableReplicas?: number } =
    status ?? {};
  const wanted = spec !== undefined && "replicas" in spec ? spec.replicas : undefined;
  return {
    replicas: wanted ?? 1, // the API server's own default
    updatedReplicas: counts.updatedReplicas ?? 0,
    availableReplicas: counts.availableReplicas ?? 0,
  };
}

/** A DaemonSet counts nodes, under other names. */
function nodesOf(status: V1DaemonSetStatus) {
  return {
    replicas: status.desiredNumberScheduled,
    updatedReplicas: status.updatedNumberScheduled ?? 0,
    availableReplicas: status.numberAvailable ?? 0,
  };
}

/** What each tool writes on the objects that it owns. */
const MANAGERS: readonly (readonly [mark: string, tool: string])[] = [
  ["argocd.argoproj.io/", "Argo CD"],
  ["kustomize.toolkit.fluxcd.io/", "Flux"],
  ["helm.toolkit.fluxcd.io/", "Flux"],
];

function managerOf(metadata: KubernetesWorkload["metadata"]): string | undefined {
  const marks = [
    ...Object.keys(metadata?.labels ?? {}),
    ...Object.keys(metadata?.annotations ?? {}),
  ];
  return MANAGERS.find(([mark]) => marks.some((key) => key.startsWith(mark)))?.[1];
}

/** `a=b,c in (d,e)`: a workload's selector in the language of a list. */
export function selectorText(selector: V1LabelSelector | undefined): string {
  const labels = Object.entries(selector?.matchLabels ?? {}).map(
    ([label, value]) => `${label}=${value}`,
  );
  const expressions = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === "Exists") return key;
    if (operator === "DoesNotExist") return `!${key}`;
    return `${key} ${operator.toLowerCase()} (${values.join(",")})`;
  });
  return [...labels, ...expressions].join(",");
}

/** Whether a selector takes in these labels; an empty one takes all. */
export function selects(
  { matchLabels, matchExpressions }: V1LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  const equal = Object.entries(matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return (
    equal &&
    (matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === "Exists") return value !== undefined;
      if (operator === "DoesNotExist") return value === undefined;
      const listed = value !== undefined && values.includes(value);
      return operator === "In" ? listed : !listed;
    })
  );
}
