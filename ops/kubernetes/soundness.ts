import { idOf, type Manifest } from "./render.ts";

interface EnvVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly configMapKeyRef?: {
      readonly name: string;
      readonly key: string;
      readonly optional?: boolean;
    };
  };
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly env?: readonly EnvVariable[];
  readonly volumeMounts?: readonly { readonly mountPath: string }[];
  readonly livenessProbe?: object;
  readonly readinessProbe?: object;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly resources?: {
    readonly requests?: { readonly cpu?: string; readonly memory?: string };
    readonly limits?: { readonly memory?: string };
  };
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[] };
  };
}

interface Pod {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly serviceAccountName?: string;
    readonly automountServiceAccountToken?: boolean;
    readonly securityContext?: {
      readonly runAsNonRoot?: boolean;
      readonly seccompProfile?: { readonly type: string };
    };
    readonly containers: readonly Container[];
  };
}

interface Selecting {
  readonly selector?: Readonly<Record<string, string>> & {
    readonly matchLabels?: Readonly<Record<string, string>>;
  };
  readonly podSelector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly endpoints?: readonly { readonly port: string; readonly honorLabels?: boolean }[];
}

/** Variables of Node itself and of the clouds' libraries, which no table of ours has. */
const FOREIGN = ["NODE_OPTIONS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
/** Pods that are not ours, of which a policy may speak all the same. */
const YOURS = ["postgresql"];

/** What no schema says: is each pod locked down, and does each name lead to something that is there? */
export function soundness(
  manifests: readonly Manifest[],
  variables: ReadonlySet<string>,
): readonly string[] {
  const pods = manifests.flatMap((manifest) => {
    const pod = podOf(manifest);
    return pod === undefined ? [] : [{ manifest, pod }];
  });
  return [
    ...pods.flatMap(({ manifest, pod }) => podProblems(manifest, pod, manifests, variables)),
    ...manifests.flatMap((manifest) =>
      selectorProblems(
        manifest,
        manifests,
        pods.map(({ pod }) => pod),
      ),
    ),
    ...twice(manifests),
  ];
}

function podOf({ kind, spec }: Manifest): Pod | undefined {
  const body = spec as { template?: Pod; jobTemplate?: { spec: { template: Pod } } } | undefined;
  if (kind === "CronJob") return body?.jobTemplate?.spec.template;
  return ["Deployment", "Job"].includes(kind) ? body?.template : undefined;
}

function podProblems(
  manifest: Manifest,
  { spec }: Pod,
  manifests: readonly Manifest[],
  variables: ReadonlySet<string>,
): readonly string[] {
  const account = spec.serviceAccountName;
  const problems = [
    spec.securityContext?.runAsNonRoot === true ? "" : "may run as root",
    spec.securityContext?.seccompProfile?.type === "RuntimeDefault" ? "" : "has no seccomp profile",
    spec.automountServiceAccountToken === false
      ? ""
      : "mounts an account's token without being asked",
    account === undefined || has(manifests, "ServiceAccount", account)
      ? ""
      : `has no account ${account}`,
    ...spec.containers.flatMap((container) => [
      ...hardening(container),
      ...(manifest.kind === "Deployment" ? probing(container) : []),
      ...environment(container, manifests, variables),
      ...privateFolder(container),
    ]),
  ];
  return problems
    .filter((problem) => problem !== "")
    .map((problem) => `${idOf(manifest)} ${problem}`);
}

function hardening({ name, image, resources, securityContext }: Container): readonly string[] {
  const isPinned = /[:@][^/]+$/.test(image) && !image.endsWith(":latest");
  const { requests, limits } = resources ?? {};
  const { readOnlyRootFilesystem, allowPrivilegeEscalation, capabilities } = securityContext ?? {};
  const wanted: readonly (readonly [boolean, string])[] = [
    [isPinned, `runs ${image}, whatever that is today`],
    [readOnlyRootFilesystem === true, `lets ${name} write to its root`],
    [allowPrivilegeEscalation === false, `lets ${name} gain privileges`],
    [(capabilities?.drop ?? []).includes("ALL"), `leaves ${name} capabilities`],
    [requests?.cpu !== undefined, `asks for no CPU for ${name}`],
    [requests?.memory !== undefined, `asks for no memory for ${name}`],
    [limits?.memory !== undefined, `sets ${name} no limit of memory`],
  ];
  return wanted.filter(([isSo]) => !isSo).map(([, problem]) => problem);
}

function probing({ name, livenessProbe, readinessProbe }: Container): readonly string[] {
  const isProbed = livenessProbe !== undefined && readinessProbe !== undefined;
  return [isProbed ? "" : `never asks how ${name} is`];
}

function environment(
  { env = [] }: Container,
  manifests: readonly Manifest[],
  variables: ReadonlySet<string>,
): readonly string[] {
  return env.flatMap(({ name, valueFrom }) => {
    const reference = valueFrom?.configMapKeyRef;
    const map = manifests.find(
      (one) => one.kind === "ConfigMap" && one.metadata.name === reference?.name,
    );
    const isThere =
      reference === undefined ||
      reference.optional === true ||
      reference.key in ((map?.["data"] as object | undefined) ?? {});
    return [
      variables.has(name) || FOREIGN.includes(name) ? "" : `sets ${name}, which no service reads`,
      isThere ? "" : `reads ${reference.key} of the ConfigMap ${reference.name}, which has none`,
    ];
  });
}

/** Exports are built in a folder that is the exporter's alone; a mount point belongs to root, with the group's rights. */
function privateFolder({ env = [], volumeMounts = [] }: Container): readonly string[] {
  const folder = env.find(({ name }) => name === "AUDIT_WORK_DIR")?.value;
  const isMount = volumeMounts.some(({ mountPath }) => mountPath === folder);
  return [isMount ? `works in ${folder ?? ""}, a mount point, which is not its own` : ""];
}

function selectorProblems(
  manifest: Manifest,
  manifests: readonly Manifest[],
  pods: readonly Pod[],
): readonly string[] {
  switch (manifest.kind) {
    case "Service":
    case "PodDisruptionBudget":
    case "NetworkPolicy":
      return selectsPod(manifest, pods) ? [] : [`${idOf(manifest)} selects no pod`];
    case "ServiceMonitor":
      return monitorProblems(manifest, manifests);
    case "RoleBinding":
      return bindingProblems(manifest, manifests);
    default:
      return [];
  }
}

function selectsPod({ kind, spec }: Manifest, pods: readonly Pod[]): boolean {
  const { selector, podSelector } = (spec ?? {}) as Selecting;
  const labels = (kind === "Service" ? selector : (selector ?? podSelector)?.matchLabels) ?? {};
  return (
    YOURS.includes(labels["app.kubernetes.io/name"] ?? "") ||
    pods.some(({ metadata }) => covers(labels, metadata.labels))
  );
}

function monitorProblems(manifest: Manifest, manifests: readonly Manifest[]): readonly string[] {
  const { selector, endpoints = [] } = manifest["spec"] as Selecting;
  const service = manifests.find(
    ({ kind, metadata }) =>
      kind === "Service" && covers(selector?.matchLabels ?? {}, metadata.labels ?? {}),
  );
  const { ports = [] } = (service?.["spec"] ?? {}) as { ports?: readonly { name: string }[] };
  const isFound = endpoints.every(({ port }) => ports.some(({ name }) => name === port));
  return [
    ...(isFound ? [] : [`${idOf(manifest)} finds no such port`]),
    ...(endpoints.every(({ honorLabels }) => honorLabels === true)
      ? []
      : [`${idOf(manifest)} writes over the labels that are the service's own`]),
  ];
}

function bindingProblems(manifest: Manifest, manifests: readonly Manifest[]): readonly string[] {
  const { subjects, roleRef } = manifest as unknown as {
    subjects: readonly { kind: string; name: string }[];
    roleRef: { kind: string; name: string };
  };
  return [
    ...subjects
      .filter(({ kind, name }) => !has(manifests, kind, name))
      .map(({ name }) => `${idOf(manifest)} binds ${name}, who is not there`),
    ...(has(manifests, roleRef.kind, roleRef.name)
      ? []
      : [`${idOf(manifest)} grants ${roleRef.name}, which is not there`]),
  ];
}

function covers(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

function has(manifests: readonly Manifest[], kind: string, name: string): boolean {
  return manifests.some((one) => one.kind === kind && one.metadata.name === name);
}

function twice(manifests: readonly Manifest[]): readonly string[] {
  const ids = manifests.map(idOf);
  return ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `${id} is there twice`);
}
