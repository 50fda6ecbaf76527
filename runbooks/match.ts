import type { Alert } from "../lib/contracts.ts";
import type { Runbook } from "./types/intake.ts";
import type { Target } from "./types/target.ts";

/** The first runbook of the catalogue that is for this alert. */
export function matchRunbook(
  catalog: readonly Runbook[],
  alert: Pick<Alert, "labels">,
): Runbook | undefined {
  return catalog.find((runbook) => runbook.matches(alert));
}

/** RFC 1123 label, as namespaces are; nothing else may come near an API path. */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** RFC 1123 subdomain, as workloads are: labels, joined by dots, 253 characters at most. */
const NAME =
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** A container's name at the hypervisor, or its project's. */
const CONTAINER = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/;

/**
 * Names of pods as the controllers make them. Their hashes have no vowels and none of 0, 1, 3 (`SafeEncodeString`), and a
 * letter: so a Job's pod (`backup-29424495-x7k2p`) is not taken for one of a Deployment.
 */
const DEPLOYMENT_POD =
  /^(.+)-(?=[0-9]*[a-z])[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/;
const STATEFULSET_POD = /^(.+)-\d{1,5}$/;

export type TargetFinding =
  | { readonly kind: "target"; readonly target: Target }
  | { readonly kind: "none"; readonly why: string };

type Labels = ReadonlyMap<string, string>;
type Workload = Pick<Target, "kind" | "name">;

/**
 * What the alert is about, in the one cluster that this service reaches. An alert that names another cluster is about
 * another workload, however alike the names are.
 *
 * The workload is what the labels `deployment`, `statefulset` or `daemonset` name, else what the pod's name tells (the
 * planning step asks the cluster who owns the pod), else the app; or a container of the hypervisor's.
 */
export function targetOf({ labels }: Pick<Alert, "labels">, cluster: string): TargetFinding {
  const own = new Map(Object.entries(labels)); // a Map: a label may be called "constructor"
  const named = own.get("cluster");
  if (named !== undefined && named !== cluster) {
    return none(
      `the alert is about cluster ${JSON.stringify(named)}, this service reaches ${cluster}`,
    );
  }
  const container = containerOf(own, cluster);
  if (container !== undefined) return { kind: "target", target: container };
  const namespace = own.get("namespace");
  if (namespace === undefined || !NAMESPACE.test(namespace))
    return none("its label namespace names none");
  const workload = workloadOf(own);
  if (workload === undefined)
    return none("its labels deployment, statefulset, daemonset, pod and app name no workload");
  const app = own.get("app") ?? "";
  const target = { cluster, namespace, ...workload, app: NAME.test(app) ? app : workload.name };
  return { kind: "target", target };
}

function workloadOf(own: Labels): Workload | undefined {
  for (const kind of ["deployment", "statefulset", "daemonset"] as const) {
    const name = own.get(kind);
    if (name !== undefined) return NAME.test(name) ? { kind, name } : undefined;
  }
  const byPod = workloadOfPod(own.get("pod") ?? "");
  if (byPod !== undefined) return byPod;
  const app = own.get("app") ?? "";
  return NAME.test(app) ? { kind: "deployment", name: app } : undefined;
}

function workloadOfPod(pod: string): Workload | undefined {
  if (!NAME.test(pod)) return undefined;
  const deployment = DEPLOYMENT_POD.exec(pod)?.[1];
  if (deployment !== undefined) return { kind: "deployment", name: deployment };
  const statefulset = STATEFULSET_POD.exec(pod)?.[1];
  return statefulset === undefined ? undefined : { kind: "statefulset", name: statefulset };
}

/**
 * kube-state-metrics has a label `container` as well, and clouds have projects: only with both, and without a pod or a
 * workload, it is the hypervisor's.
 */
function containerOf(own: Labels, cluster: string): Target | undefined {
  const [name, project] = [own.get("container") ?? "", own.get("project") ?? ""];
  if (!CONTAINER.test(name) || !CONTAINER.test(project) || isOfCluster(own)) return undefined;
  return { cluster, namespace: project, kind: "container", name, app: name };
}

function isOfCluster(own: Labels): boolean {
  return ["pod", "deployment", "statefulset", "daemonset"].some((name) => own.has(name));
}

function none(why: string): TargetFinding {
  return { kind: "none", why };
}
