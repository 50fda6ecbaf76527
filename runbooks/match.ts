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

export type TargetFinding =
  | { readonly kind: "target"; readonly target: Target }
  | { readonly kind: "none"; readonly why: string };

/**
 * What the alert is about, in the one cluster that this service reaches. An alert that names another cluster is about
 * another workload, however alike the names are.
 */
export function targetOf({ labels }: Pick<Alert, "labels">, cluster: string): TargetFinding {
  const own = new Map(Object.entries(labels)); // a Map: a label may be called "constructor"
  const named = own.get("cluster");
  if (named !== undefined && named !== cluster) {
    return none(
      `the alert is about cluster ${JSON.stringify(named)}, this service reaches ${cluster}`,
    );
  }
  const [namespace, name] = [own.get("namespace"), own.get("deployment") ?? own.get("app")];
  if (namespace === undefined || !NAME.test(namespace))
    return none("its label namespace names none");
  if (name === undefined || !NAME.test(name))
    return none("its labels deployment and app name no workload");
  return { kind: "target", target: { cluster, namespace, kind: "deployment", name } };
}

function none(why: string): TargetFinding {
  return { kind: "none", why };
}

export function keyOf({ cluster, namespace, kind, name }: Target): string {
  return `${cluster}/${namespace}/${kind}/${name}`;
}
