/** What an alert is about, in the cluster's own names. */
export interface Target {
  readonly cluster: string;
  readonly namespace: string;
  /** A `container` is one of the hypervisor's. */
  readonly kind: TargetKind;
  readonly name: string;
  /** The app that policy and breaker know: the alert's label `app`, else the name. */
  readonly app: string;
}

type TargetKind = "deployment" | "statefulset" | "daemonset" | "container";

/** `<cluster>/<namespace>/<kind>/<name>`: the identity of a target in runs, breakers and audit rows. */
export function targetKeyOf({ cluster, namespace, kind, name }: Target): string {
  return `${cluster}/${namespace}/${kind}/${name}`;
}

/** The breaker's key of all targets of one app. */
export function appKeyOf({
  cluster,
  namespace,
  app,
}: Pick<Target, "cluster" | "namespace" | "app">): string {
  return `app:${cluster}/${namespace}/${app}`;
}

const KIND_WORDS: Readonly<Record<TargetKind, string>> = {
  deployment: "Deployment",
  statefulset: "StatefulSet",
  daemonset: "DaemonSet",
  container: "container",
};

/** `Deployment shop/web`, for people. */
export function describeTarget({
  kind,
  namespace,
  name,
}: Pick<Target, "kind" | "namespace" | "name">): string {
  return `${KIND_WORDS[kind]} ${namespace}/${name}`;
}

/** `Deployment`, for people. */
export function kindWord({ kind }: Pick<Target, "kind">): string {
  return KIND_WORDS[kind];
}

/**
 * The target that {@link targetKeyOf} made a key of.
 *
 * @throws Error for a text that is no such key: a row that this program did not write
 */
export function parseTargetKey(key: string, app: string): Target {
  const [cluster = "", namespace = "", kind = "", name = "", ...rest] = key.split("/");
  if (rest.length > 0 || name === "" || !isKind(kind))
    throw new Error(`${JSON.stringify(key)} is no key of a target`);
  return { cluster, namespace, kind, name, app };
}

function isKind(text: string): text is TargetKind {
  return /^(deployment|statefulset|daemonset|container)$/.test(text);
}
