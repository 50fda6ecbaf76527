import { createHash, randomBytes } from "node:crypto";
import { isObject } from "./patch.ts";
import { freshStatuses } from "./pod-logs.ts";
import type { Store } from "./store.ts";
import type { Json, KubernetesObject, Resource, Target } from "./types.ts";

/** A kind whose pods are made here. */
export type WorkloadResource = "deployments" | "statefulsets" | "daemonsets";

const WORKLOADS: readonly WorkloadResource[] = ["deployments", "statefulsets", "daemonsets"];
const POD_HASH: Readonly<Record<WorkloadResource, string>> = {
  deployments: "pod-template-hash",
  statefulsets: "controller-revision-hash",
  daemonsets: "controller-revision-hash",
};

/** How many pods a workload asks for; one when it does not say. A DaemonSet of the stand-in keeps its nodes there. */
export function replicasOf(spec: Json): number {
  return typeof spec["replicas"] === "number" ? spec["replicas"] : 1;
}

/** Makes the workload's pods what its spec says now, in one step: those of older templates go, new ones come. */
export function replacePods(
  store: Store,
  resource: WorkloadResource,
  workload: KubernetesObject,
): void {
  const owner = resource === "deployments" ? ensureReplicaSet(store, workload) : workload;
  const hash = templateHash(workload);
  const pods = podsOf(store, resource, workload);
  const current = pods.filter(({ metadata }) => metadata.labels?.[POD_HASH[resource]] === hash);
  const desired = replicasOf(workload.spec);
  const kept = current.slice(0, desired);
  for (const pod of pods) if (!kept.includes(pod)) store.remove("pods", pod);
  const names = new Set(kept.map(({ metadata }) => metadata.name));
  for (let ordinal = 0; names.size < desired; ordinal += 1) {
    const name =
      resource === "statefulsets"
        ? `${workload.metadata.name}-${ordinal}`
        : `${owner.metadata.name}-${randomBytes(3).toString("hex").slice(1)}`;
    if (names.has(name)) continue;
    names.add(name);
    createPod(store, name, { resource, workload, owner });
  }
}

/** How many pods there are, how many of them have the newest template, and how many are ready. */
export function countPods(
  store: Store,
  resource: WorkloadResource,
  workload: KubernetesObject,
): { readonly all: number; readonly updated: number; readonly ready: number } {
  const hash = templateHash(workload);
  const pods = podsOf(store, resource, workload);
  const updated = pods.filter(({ metadata }) => metadata.labels?.[POD_HASH[resource]] === hash);
  return { all: pods.length, updated: updated.length, ready: pods.filter(isReady).length };
}

export function isReady({ status }: KubernetesObject): boolean {
  const conditions = Array.isArray(status["conditions"]) ? status["conditions"] : [];
  return conditions
    .filter(isObject)
    .some((condition) => condition["type"] === "Ready" && condition["status"] === "True");
}

/** The workload that a pod belongs to, by its owner references. */
export function workloadOf(
  store: Store,
  pod: KubernetesObject,
):
  | {
      readonly target: Target & { readonly resource: WorkloadResource };
      readonly object: KubernetesObject;
    }
  | undefined {
  const { namespace } = pod.metadata;
  for (const resource of WORKLOADS) {
    for (const object of store.list(resource, namespace)) {
      if (!podsOf(store, resource, object).includes(pod)) continue;
      return { target: { resource, group: "apps", namespace, name: object.metadata.name }, object };
    }
  }
  return undefined;
}

export function isWorkload(resource: Resource): resource is WorkloadResource {
  return (WORKLOADS as readonly string[]).includes(resource);
}

function podsOf(
  store: Store,
  resource: WorkloadResource,
  { metadata: { uid, namespace } }: KubernetesObject,
): readonly KubernetesObject[] {
  const owners =
    resource === "deployments"
      ? store
          .list("replicasets", namespace)
          .filter((each) => ownerUid(each) === uid)
          .map(({ metadata }) => metadata.uid)
      : [uid];
  return store.list("pods", namespace).filter((pod) => owners.includes(ownerUid(pod)));
}

function ownerUid({ metadata }: KubernetesObject): string {
  const references = metadata["ownerReferences"];
  const [owner] = Array.isArray(references) ? references.filter(isObject) : [];
  return typeof owner?.["uid"] === "string" ? owner["uid"] : "";
}

function ensureReplicaSet(store: Store, deployment: KubernetesObject): KubernetesObject {
  const { namespace } = deployment.metadata;
  const name = `${deployment.metadata.name}-${templateHash(deployment)}`;
  const existing = store.get({ resource: "replicasets", group: "apps", namespace, name });
  if (existing !== undefined) return existing;
  return store.create("replicasets", {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name,
      namespace,
      labels: podLabels("deployments", deployment),
      annotations: { "deployment.kubernetes.io/revision": nextRevision(store, deployment) },
      ownerReferences: [ownerReference(deployment)],
    },
    spec: { replicas: replicasOf(deployment.spec), template: deployment.spec["template"] },
    status: {},
  });
}

/** As the deployment controller counts them. */
function nextRevision(store: Store, { metadata: { uid, namespace } }: KubernetesObject): string {
  const sets = store.list("replicasets", namespace).filter((each) => ownerUid(each) === uid);
  return String(sets.length + 1);
}

interface Origin {
  readonly resource: WorkloadResource;
  readonly workload: KubernetesObject;
  readonly owner: KubernetesObject;
}

function createPod(store: Store, name: string, { resource, workload, owner }: Origin): void {
  const template = templateOf(workload);
  const metadata = isObject(template["metadata"]) ? template["metadata"] : {};
  const now = new Date().toISOString();
  store.create("pods", {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata,
      name,
      namespace: workload.metadata.namespace,
      labels: podLabels(resource, workload),
      ownerReferences: [ownerReference(owner)],
    },
    spec: { ...templateSpecOf(workload), nodeName: "node-1" },
    status: {
      phase: "Running",
      startTime: now,
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: now }],
      qosClass: "BestEffort",
      containerStatuses: freshStatuses(templateSpecOf(workload), now),
    },
  });
}

function ownerReference({ kind, metadata: { name, uid } }: KubernetesObject): Json {
  return { apiVersion: "apps/v1", kind, name, uid, controller: true, blockOwnerDeletion: true };
}

function podLabels(
  resource: WorkloadResource,
  workload: KubernetesObject,
): Readonly<Record<string, string>> {
  const { metadata } = templateOf(workload);
  const labels = isObject(metadata) && isObject(metadata["labels"]) ? metadata["labels"] : {};
  return { ...(labels as Record<string, string>), [POD_HASH[resource]]: templateHash(workload) };
}

/** Any change of the template, an annotation too, gives another hash: that is what a rollout restart lives on. */
function templateHash(workload: KubernetesObject): string {
  const text = JSON.stringify(templateOf(workload));
  return createHash("sha256").update(text).digest("hex").slice(0, 10);
}

function templateSpecOf(workload: KubernetesObject): Json {
  const { spec } = templateOf(workload);
  return isObject(spec) ? spec : {};
}

function templateOf({ spec }: KubernetesObject): Json {
  return isObject(spec["template"]) ? spec["template"] : {};
}
