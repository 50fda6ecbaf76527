import { settle } from "./controller.ts";
import { RESOURCES } from "./resources.ts";
import type { Store } from "./store.ts";
import type { Json } from "./types.ts";
import type { WorkloadResource } from "./workload.ts";

/** A workload that is there, rolled out and healthy, from the start. */
export interface WorkloadSeed {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Of a DaemonSet: its nodes. */
  readonly replicas: number;
  /** Of its container, besides name and image: such as `env`. */
  readonly container?: Json;
}

export function seedWorkload(
  store: Store,
  resource: WorkloadResource,
  { namespace, name, labels, replicas, container }: WorkloadSeed,
): void {
  const selected = { app: name };
  store.create(resource, {
    apiVersion: "apps/v1",
    kind: RESOURCES[resource].kind,
    metadata: { name, namespace, generation: 1, labels: { ...selected, ...labels } },
    spec: {
      replicas,
      selector: { matchLabels: selected },
      template: {
        metadata: { labels: { ...selected, ...labels } },
        spec: { containers: [{ name, image: `registry.example/${name}:1.0.0`, ...container }] },
      },
      [resource === "deployments" ? "strategy" : "updateStrategy"]: { type: "RollingUpdate" },
    },
    status: {},
  });
  settle(store, { resource, group: "apps", namespace, name });
}
