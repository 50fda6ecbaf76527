import { settle } from "./controller.ts";
import type { Store } from "./store.ts";

/** A Deployment that is there, rolled out and healthy, from the start. */
export interface DeploymentSeed {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly replicas: number;
}

export function seedDeployment(
  store: Store,
  { namespace, name, labels, replicas }: DeploymentSeed,
): void {
  const selected = { app: name };
  store.create("deployments", {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, generation: 1, labels: { ...selected, ...labels } },
    spec: {
      replicas,
      selector: { matchLabels: selected },
      template: {
        metadata: { labels: { ...selected, ...labels } },
        spec: { containers: [{ name, image: `registry.example/${name}:1.0.0` }] },
      },
      strategy: {
        type: "RollingUpdate",
        rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" },
      },
    },
    status: {},
  });
  settle(store, { resource: "deployments", group: "apps", namespace, name });
}
