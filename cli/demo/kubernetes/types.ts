/** The parts of Kubernetes objects that the stand-in looks at; everything else is kept and given back untouched. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  /** Empty where the kind has none; then it is not shown either. */
  readonly spec: Json;
  readonly status: Json;
  /** Such as a ConfigMap's data. */
  readonly [other: string]: unknown;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [other: string]: unknown;
}

/** Any JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** The kinds that are served: resources.ts. */
export type Resource =
  | "deployments"
  | "statefulsets"
  | "daemonsets"
  | "replicasets"
  | "controllerrevisions"
  | "pods"
  | "events"
  | "configmaps"
  | "resourcequotas"
  | "poddisruptionbudgets"
  | "horizontalpodautoscalers"
  | "jobs";

/** Where a path points. `name` is absent for a list. */
export interface Target {
  readonly resource: Resource;
  readonly group: string;
  /** Absent when the list goes over all namespaces. */
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: "scale" | "eviction" | "log";
}

export interface Answer {
  readonly status: number;
  /** A string goes out as text/plain, everything else as JSON. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Did the request change what is stored? */
  readonly effective?: boolean;
}

/** One request as the log keeps it. `status` is null when the client was left without an answer. */
export interface LoggedRequest {
  /** ISO 8601. */
  readonly at: string;
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly dryRun: boolean;
  /** It changed what is stored. A repeated patch that changes nothing is not effective. */
  readonly effective: boolean;
  readonly status: number | null;
}
