import type { Alert } from "../lib/contracts.ts";
import type { Runbook, Target } from "./types.ts";

/** The first runbook of the catalogue that is for this alert. */
export function matchRunbook(
  catalog: readonly Runbook[],
  alert: Pick<Alert, "labels">,
): Runbook | undefined {
  return catalog.find((runbook) => runbook.matches(alert));
}

/** RFC 1123 label, as Kubernetes names are; nothing else may come near an API path. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What the alert is about; undefined when its labels name no workload that could exist. */
export function targetOf({ labels }: Pick<Alert, "labels">): Target | undefined {
  const own = new Map(Object.entries(labels)); // a Map: a label may be called "constructor"
  const namespace = own.get("namespace");
  const name = own.get("deployment") ?? own.get("app");
  if (namespace === undefined || name === undefined || !NAME.test(namespace) || !NAME.test(name))
    return undefined;
  const cluster = own.get("cluster") ?? "default";
  return { cluster: NAME.test(cluster) ? cluster : "default", namespace, kind: "deployment", name };
}

export function keyOf({ cluster, namespace, kind, name }: Target): string {
  return `${cluster}/${namespace}/${kind}/${name}`;
}
