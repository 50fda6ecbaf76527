import { readFile } from "node:fs/promises";
import { envSections } from "../../cli/env-example.ts";
import { renderedKustomizations, type Manifest } from "../kubernetes/render.ts";

const PAGE = "docs/operations.md";
const HEADING = "### Who calls whom";
const OVERLAY = "ops/kubernetes/overlays/production";

/** Variables that name a place to call. Buckets are told by their stores' endpoints. */
const CALLS =
  /(_URL|_ENDPOINT|_ISSUER|_AUTHORITY_HOST)$|^(SFTP_HOST|KUBECONFIG)$|^RUNBOOKS_\w+_WEBHOOK$/;
/** Where we ourselves are reached, for links. */
const OUR_OWN = ["DETECTOR_URL", "RUNBOOKS_URL"];
/** Callees of the table that are pods in our namespace. */
const OUR_PODS: Readonly<Record<string, string>> = {
  "the receiver": "runbooks-receiver",
  "the hypervisor": "hypervisor",
  Redis: "redis",
};

interface Call {
  /** The pod's name label; undefined: each of them. */
  readonly service: string | undefined;
  readonly peer: string;
  readonly ports: readonly number[];
  readonly variables: readonly string[];
}

/**
 * The page's table of calls has every variable that names a place to call, in the row of a service that reads it, and the
 * network policies let each of the calls out.
 */
export async function checkNetwork(): Promise<readonly string[]> {
  const calls = readTable(await readFile(PAGE, "utf8"));
  if (calls.length === 0) return [`${PAGE}: no table below "${HEADING}"`];
  const rendered = await renderedKustomizations();
  const { manifests = [] } = rendered.find(({ folder }) => folder === OVERLAY) ?? {};
  const policies = manifests
    .filter(({ kind }) => kind === "NetworkPolicy")
    .map(({ spec }) => spec as Policy);
  const pods = podsOf(manifests);
  return [
    ...(await missing(calls)),
    ...closed(calls, pods, policies),
    ...refused(calls, pods, policies),
  ];
}

function readTable(page: string): readonly Call[] {
  const [, after = ""] = page.split(`${HEADING}\n`);
  const [table = ""] = /(?:^\|.*\n)+/m.exec(after) ?? [];
  const rows = table.trimEnd().split("\n").slice(2);
  return rows.map((row) => {
    const [, service = "", peer = "", ports = "", variables = ""] = row
      .split("|")
      .map((cell) => cell.trim());
    return {
      service: service === "each" ? undefined : service,
      peer,
      ports: [...ports.matchAll(/\d+/g)].map(Number),
      variables: [...variables.matchAll(/[A-Z][A-Z0-9_]+/g)].map(([name]) => name),
    };
  });
}

async function missing(calls: readonly Call[]): Promise<readonly string[]> {
  const sections = await envSections();
  const read = sections.flatMap(({ title, shape }) => {
    const [service = ""] = title.split(":");
    return Object.values(shape).map(({ name }) => ({ service, name }));
  });
  const all = new Set(read.map(({ name }) => name)).add("OTEL_EXPORTER_OTLP_ENDPOINT");
  return [
    ...read
      .filter(({ name }) => CALLS.test(name) && !OUR_OWN.includes(name))
      .filter(({ service, name }) => !calls.some((call) => isOf(call, service, name)))
      .map(({ service, name }) => `${PAGE}: nobody says whom ${service} calls by ${name}`),
    ...calls.flatMap(({ peer, variables }) =>
      variables
        .filter((name) => !all.has(name))
        .map((name) => `${PAGE}: ${peer} is called by ${name}, which no service reads`),
    ),
  ];
}

/** The runbooks service is two pods, each of which may be the caller. */
function isOf({ service, variables }: Call, of: string, name: string): boolean {
  return variables.includes(name) && (service === undefined || service.startsWith(of));
}

type Labels = Readonly<Record<string, string>>;

interface Selector {
  readonly matchLabels?: Labels;
}

interface Port {
  readonly port: number | string;
}

interface Policy {
  readonly podSelector: Selector;
  readonly egress?: readonly { readonly ports?: readonly Port[] }[];
  readonly ingress?: readonly {
    readonly from?: readonly { readonly podSelector?: Selector }[];
    readonly ports?: readonly Port[];
  }[];
}

interface Template {
  readonly metadata: { readonly labels: Labels };
  readonly spec: {
    readonly containers: readonly {
      readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
    }[];
  };
}

interface Labelled {
  readonly template?: Template;
  readonly jobTemplate?: { readonly spec: Labelled };
}

function podsOf(manifests: readonly Manifest[]): readonly Template[] {
  return manifests.flatMap(({ spec }) => {
    const { template, jobTemplate } = (spec ?? {}) as Labelled;
    return template ?? jobTemplate?.spec.template ?? [];
  });
}

function nameOf(labels: Labels): string {
  return labels["app.kubernetes.io/name"] ?? "";
}

function isSelected({ matchLabels = {} }: Selector, labels: Labels): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}

/** Calls that no policy lets out. */
function closed(
  calls: readonly Call[],
  pods: readonly Template[],
  policies: readonly Policy[],
): readonly string[] {
  return calls.flatMap(({ service, peer, ports }) => {
    const callers = pods
      .map(({ metadata }) => metadata.labels)
      .filter(
        (labels) =>
          nameOf(labels) === service ||
          (service === undefined && labels["app.kubernetes.io/part-of"] === "fettle"),
      );
    if (callers.length === 0) return [`${PAGE}: there is no pod ${service ?? ""}`];
    return callers.flatMap((labels) => {
      const open = openPorts(labels, policies);
      return ports
        .filter((port) => !open.has(port))
        .map((port) => `no network policy lets ${nameOf(labels)} out to ${peer} (port ${port})`);
    });
  });
}

/** Calls to pods of ours that no policy lets in. */
function refused(
  calls: readonly Call[],
  pods: readonly Template[],
  policies: readonly Policy[],
): readonly string[] {
  return calls.flatMap(({ service = "", peer }) => {
    const callee = pods.find(({ metadata }) => nameOf(metadata.labels) === OUR_PODS[peer]);
    const caller = pods.find(({ metadata }) => nameOf(metadata.labels) === service);
    if (callee === undefined || caller === undefined) return [];
    const served = callee.spec.containers.flatMap(({ ports = [] }) => ports);
    const open = policies
      .filter(({ podSelector }) => isSelected(podSelector, callee.metadata.labels))
      .flatMap(({ ingress = [] }) => ingress)
      .filter(({ from = [] }) =>
        from.some(
          ({ podSelector }) =>
            podSelector !== undefined && isSelected(podSelector, caller.metadata.labels),
        ),
      )
      .flatMap(({ ports = [] }) => ports.map(({ port }) => port));
    const isOpen = served.some(
      ({ name, containerPort }) => open.includes(name) || open.includes(containerPort),
    );
    return isOpen ? [] : [`no network policy lets ${service} into ${peer}`];
  });
}

function openPorts(labels: Labels, policies: readonly Policy[]): ReadonlySet<number | string> {
  const ours = policies.filter(({ podSelector }) => isSelected(podSelector, labels));
  const ports = ours.flatMap(({ egress = [] }) => egress.flatMap((rule) => rule.ports ?? []));
  return new Set(ports.map(({ port }) => port));
}
