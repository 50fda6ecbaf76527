import { createHash, randomBytes } from "node:crypto";
import { replicasOf } from "./deployment.ts";
import { isObject } from "./patch.ts";
import type { Store } from "./store.ts";
import type { Json, KubernetesObject } from "./types.ts";

const HASH_LABEL = "pod-template-hash";

/** Makes the Deployment's pods what its spec says now, in one step: those of older templates go, new ones come. */
export function replacePods(store: Store, deployment: KubernetesObject): void {
  const owner = ensureReplicaSet(store, deployment);
  const hash = templateHash(deployment);
  const pods = podsOf(store, deployment);
  const current = pods.filter(({ metadata }) => metadata.labels?.[HASH_LABEL] === hash);
  const desired = replicasOf(deployment.spec);
  for (const pod of pods) {
    const index = current.indexOf(pod);
    if (index < 0 || index >= desired) store.remove("pods", pod);
  }
  for (let count = current.length; count < desired; count += 1) createPod(store, deployment, owner);
}

/** How many pods there are, and how many of them have the newest template. */
export function countPods(
  store: Store,
  deployment: KubernetesObject,
): { readonly all: number; readonly updated: number } {
  const hash = templateHash(deployment);
  const pods = podsOf(store, deployment);
  const updated = pods.filter(({ metadata }) => metadata.labels?.[HASH_LABEL] === hash);
  return { all: pods.length, updated: updated.length };
}

/** The Deployment that a pod belongs to, by way of its ReplicaSet. */
export function deploymentOf(store: Store, pod: KubernetesObject): KubernetesObject | undefined {
  const { namespace } = pod.metadata;
  return store
    .list("deployments", namespace)
    .find((deployment) =>
      podsOf(store, deployment).some(({ metadata }) => metadata.uid === pod.metadata.uid),
    );
}

function podsOf(store: Store, deployment: KubernetesObject): readonly KubernetesObject[] {
  const { name, namespace } = deployment.metadata;
  return store
    .list("pods", namespace)
    .filter(({ metadata }) =>
      metadata.name.startsWith(`${name}-${metadata.labels?.[HASH_LABEL] ?? "?"}-`),
    );
}

function ensureReplicaSet(store: Store, deployment: KubernetesObject): KubernetesObject {
  const { namespace, uid } = deployment.metadata;
  const name = `${deployment.metadata.name}-${templateHash(deployment)}`;
  const existing = store.get({ resource: "replicasets", group: "apps", namespace, name });
  if (existing !== undefined) return existing;
  return store.create("replicasets", {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name,
      namespace,
      labels: podLabels(deployment),
      ownerReferences: [ownerReference(deployment, "Deployment", uid)],
    },
    spec: { replicas: replicasOf(deployment.spec), template: deployment.spec["template"] },
    status: {},
  });
}

function createPod(store: Store, deployment: KubernetesObject, owner: KubernetesObject): void {
  const template = templateOf(deployment);
  const metadata = isObject(template["metadata"]) ? template["metadata"] : {};
  const now = new Date().toISOString();
  store.create("pods", {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata,
      name: `${owner.metadata.name}-${randomBytes(3).toString("hex").slice(1)}`,
      namespace: deployment.metadata.namespace,
      labels: podLabels(deployment),
      ownerReferences: [ownerReference(owner, "ReplicaSet", owner.metadata.uid)],
    },
    spec: { ...(isObject(template["spec"]) ? template["spec"] : {}), nodeName: "node-1" },
    status: {
      phase: "Running",
      startTime: now,
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: now }],
      qosClass: "BestEffort",
    },
  });
}

function ownerReference({ metadata }: KubernetesObject, kind: string, uid: string): Json {
  const { name } = metadata;
  return { apiVersion: "apps/v1", kind, name, uid, controller: true, blockOwnerDeletion: true };
}

function podLabels(deployment: KubernetesObject): Readonly<Record<string, string>> {
  const { metadata } = templateOf(deployment);
  const labels = isObject(metadata) && isObject(metadata["labels"]) ? metadata["labels"] : {};
  return { ...(labels as Record<string, string>), [HASH_LABEL]: templateHash(deployment) };
}

/** Any change of the template, an annotation too, gives another hash: that is what a rollout restart lives on. */
function templateHash(deployment: KubernetesObject): string {
  const text = JSON.stringify(templateOf(deployment));
  return createHash("sha256").update(text).digest("hex").slice(0, 10);
}

function templateOf({ spec }: KubernetesObject): Json {
  return isObject(spec["template"]) ? spec["template"] : {};
}
