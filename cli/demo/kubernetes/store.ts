import { randomUUID } from "node:crypto";
import type { Json, KubernetesObject, ObjectMeta, Resource, Target } from "./types.ts";

/** What a new object brings; the store adds uid, resourceVersion and the time. */
export type NewObject = Pick<KubernetesObject, "apiVersion" | "kind" | "spec" | "status"> &
  Json & { readonly metadata: NewObjectMeta };

// Not Omit<ObjectMeta, …>: with an index signature it would forget the names.
type NewObjectMeta = Pick<ObjectMeta, "name" | "namespace" | "generation" | "labels"> & Json;

export interface Change {
  readonly revision: number;
  readonly resource: Resource;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: KubernetesObject;
}

/** Older changes are compacted away, as etcd does after 5 minutes: a watch from there is answered 410. */
const HISTORY_MAX = 2_000;

/**
 * All objects. Every write draws the next number of one counter for its resourceVersion, as etcd's revision does, so
 * that a version says nothing about how often its own object was written.
 */
export class Store {
  #revision = 100;
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #history: Change[] = [];
  readonly #listeners = new Set<(change: Change) => void>();

  /** Revision of the newest write, which a list carries. */
  get revision(): string {
    return String(this.#revision);
  }

  get({ resource, namespace = "", name = "" }: Target): KubernetesObject | undefined {
    return this.#objects.get(keyOf(resource, namespace, name));
  }

  /** In the order of namespace and name, as a real server answers. */
  list(resource: Resource, namespace?: string): readonly KubernetesObject[] {
    const prefix = namespace === undefined ? `${resource}/` : `${resource}/${namespace}/`;
    return [...this.#objects]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  create(resource: Resource, object: NewObject): KubernetesObject {
    const creationTimestamp = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    const metadata = {
      ...object.metadata,
      uid: randomUUID(),
      resourceVersion: "",
      creationTimestamp,
    };
    return this.put(resource, { ...object, metadata });
  }

  /** Stores the object with the next resourceVersion. */
  put(resource: Resource, object: KubernetesObject): KubernetesObject {
    this.#revision += 1;
    const { namespace, name } = object.metadata;
    const stored = withVersion(object, this.revision);
    const key = keyOf(resource, namespace, name);
    const type = this.#objects.has(key) ? "MODIFIED" : "ADDED";
    this.#objects.set(key, stored);
    this.#tell({ revision: this.#revision, resource, type, object: stored });
    return stored;
  }

  remove(resource: Resource, object: KubernetesObject): void {
    const { namespace, name } = object.metadata;
    if (!this.#objects.delete(keyOf(resource, namespace, name))) return;
    this.#revision += 1;
    const last = withVersion(object, this.revision);
    this.#tell({ revision: this.#revision, resource, type: "DELETED", object: last });
  }

  /** What happened after `revision`, or undefined when that is longer ago than what is remembered. */
  since(revision: number): readonly Change[] | undefined {
    const forgotten = this.#history.length >= HISTORY_MAX ? (this.#history[0]?.revision ?? 0) : 0;
    if (revision + 1 < forgotten) return undefined;
    return this.#history.filter((change) => change.revision > revision);
  }

  /** Returns what ends it. */
  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(change: Change): void {
    this.#history.push(change);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
    for (const listener of this.#listeners) listener(change);
  }
}

function withVersion(object: KubernetesObject, resourceVersion: string): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion } };
}

function keyOf(resource: Resource, namespace: string, name: string): string {
  return `${resource}/${namespace}/${name}`;
}
