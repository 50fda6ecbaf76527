import { randomUUID } from "node:crypto";
import type { Json, KubernetesObject, ObjectMeta, Resource, Target } from "./types.ts";

/** What a new object brings; the store adds uid, resourceVersion and the time. */
export interface NewObject extends Omit<KubernetesObject, "metadata"> {
  readonly metadata: NewObjectMeta;
}

// Not Omit<ObjectMeta, …>: with an index signature it would forget the names.
type NewObjectMeta = Pick<ObjectMeta, "name" | "namespace" | "generation" | "labels"> & Json;

/**
 * All objects. Every write draws the next number of one counter for its resourceVersion, as etcd's revision does, so
 * that a version says nothing about how often its own object was written.
 */
export class Store {
  #revision = 100;
  readonly #objects = new Map<string, KubernetesObject>();

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
    this.#objects.set(keyOf(resource, namespace, name), stored);
    return stored;
  }

  remove(resource: Resource, { metadata: { namespace, name } }: KubernetesObject): void {
    if (this.#objects.delete(keyOf(resource, namespace, name))) this.#revision += 1;
  }
}

function withVersion(object: KubernetesObject, resourceVersion: string): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion } };
}

function keyOf(resource: Resource, namespace: string, name: string): string {
  return `${resource}/${namespace}/${name}`;
}
