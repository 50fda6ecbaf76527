import type { V1ConfigMap, V1Pod } from "@kubernetes/client-node";
import { messageOf } from "../../../lib/error.ts";
import type { Diagnostics, Json, TargetObjects } from "../../types/collect.ts";
import { describeTarget, kindWord, type Target } from "../../types/target.ts";
import { caller, type Call } from "./call.ts";
import type { Connection, Kubernetes } from "./connect.ts";
import { readPods } from "./pods.ts";
import { readWorkload, selects, selectorText } from "./workload.ts";

const EVENTS_PER_PAGE = 500;
const EVENT_PAGES_MAX = 6;
/** The API cuts a log at its beginning: more is asked for, so that the end is there when the lines are long. */
const LOG_SURPLUS = 4;

/** What diagnostics read of a cluster. Secrets are never asked for; of ConfigMaps the names only are given on. */
export function kubernetesDiagnostics(kubernetes: Kubernetes): Diagnostics {
  const call = caller(kubernetes);
  return {
    objects: async (target) => objectsOf(call, target),
    events: async (target, names) =>
      call(`list the events of ${target.namespace}`, async (connection) =>
        eventsOf(connection, target, names),
      ),
    log: async (target, { pod, container, previous, lines, bytesMax }) =>
      call(`read the log of ${pod}/${container}`, async (connection) =>
        coreOf(connection).readNamespacedPodLog(
          {
            namespace: target.namespace,
            name: pod,
            container,
            previous,
            tailLines: lines,
            limitBytes: bytesMax * LOG_SURPLUS,
            timestamps: true,
          },
          connection.options(),
        ),
      ),
  };
}

/** The workload must be there; what else cannot be had is a note. */
async function objectsOf(call: Call, target: Target): Promise<TargetObjects> {
  const problems: string[] = [];
  const workload = await call(`read ${describeTarget(target)}`, async (connection) =>
    readWorkload(connection, target),
  );
  const some = async (what: string, work: (connection: Connection) => Promise<readonly Json[]>) => {
    try {
      return await call(`list the ${what} of ${target.namespace}`, work);
    } catch (error) {
      problems.push(messageOf(error));
      return [];
    }
  };
  const labels = workload.spec?.template.metadata?.labels ?? {};
  const [pods, revisions, autoscalers, budgets, maps] = await Promise.all([
    some("pods", async (connection) =>
      (await readPods(connection, target)).map((pod) => typed("v1", "Pod", pod)),
    ),
    some("revisions", async (connection) => revisionsOf(connection, target, workload)),
    some("autoscalers", async (connection) => autoscalersOf(connection, target)),
    some("disruption budgets", async (connection) => budgetsOf(connection, target, labels)),
    some("ConfigMaps", async (connection) => configMapNames(connection, target, workload)),
  ]);
  return {
    workload: typed("apps/v1", kindWord(target), workload),
    pods,
    revisions,
    others: [...autoscalers, ...budgets, ...maps],
    problems,
  };
}

/** Of a Deployment its ReplicaSets, of the others their ControllerRevisions: by their owner, not by labels alone. */
async function revisionsOf(
  { apps, options }: Connection,
  target: Target,
  { metadata, spec }: Awaited<ReturnType<typeof readWorkload>>,
): Promise<readonly Json[]> {
  const where = { namespace: target.namespace, labelSelector: selectorText(spec?.selector) };
  const isDeployment = target.kind === "deployment";
  const { items } = isDeployment
    ? await apps.listNamespacedReplicaSet(where, options())
    : await apps.listNamespacedControllerRevision(where, options());
  return items
    .filter((item) => item.metadata?.ownerReferences?.some(({ uid }) => uid === metadata?.uid))
    .map((item) => typed("apps/v1", isDeployment ? "ReplicaSet" : "ControllerRevision", item));
}

async function autoscalersOf(
  { config, client, options }: Connection,
  target: Target,
): Promise<readonly Json[]> {
  const autoscaling = config.makeApiClient(client.AutoscalingV2Api);
  const where = { namespace: target.namespace };
  const { items } = await autoscaling.listNamespacedHorizontalPodAutoscaler(where, options());
  return items
    .filter(({ spec }) => {
      const { kind, name } = spec.scaleTargetRef;
      return kind === kindWord(target) && name === target.name;
    })
    .map((item) => typed("autoscaling/v2", "HorizontalPodAutoscaler", item));
}

async function budgetsOf(
  { config, client, options }: Connection,
  target: Target,
  labels: Readonly<Record<string, string>>,
): Promise<readonly Json[]> {
  const policy = config.makeApiClient(client.PolicyV1Api);
  const where = { namespace: target.namespace };
  const { items } = await policy.listNamespacedPodDisruptionBudget(where, options());
  return items
    .filter(({ spec }) => spec?.selector !== undefined && selects(spec.selector, labels))
    .map((item) => typed("policy/v1", "PodDisruptionBudget", item));
}

/** Which ConfigMaps its pods use, when each of them came, and which version it is: not what is in them. */
async function configMapNames(
  connection: Connection,
  target: Target,
  { spec }: Awaited<ReturnType<typeof readWorkload>>,
): Promise<readonly Json[]> {
  const used = usedConfigMaps(spec?.template.spec);
  if (used.size === 0) return [];
  const where = { namespace: target.namespace };
  const { items } = await coreOf(connection).listNamespacedConfigMap(where, connection.options());
  return items.filter(({ metadata }) => used.has(metadata?.name ?? "")).map(nameOnly);
}

function nameOnly({ metadata, data = {} }: V1ConfigMap): Json {
  const name = metadata?.name;
  const namespace = metadata?.namespace;
  const resourceVersion = metadata?.resourceVersion;
  const creationTimestamp = metadata?.creationTimestamp;
  return typed("v1", "ConfigMap", {
    metadata: { name, namespace, resourceVersion, creationTimestamp },
    keys: Object.keys(data),
  });
}

function usedConfigMaps(spec: V1Pod["spec"]): ReadonlySet<string> {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  return new Set(
    [
      ...(spec?.volumes ?? []).map(({ configMap }) => configMap?.name),
      ...containers.flatMap(({ env = [], envFrom = [] }) => [
        ...env.map(({ valueFrom }) => valueFrom?.configMapKeyRef?.name),
        ...envFrom.map(({ configMapRef }) => configMapRef?.name),
      ]),
    ].filter((name) => name !== undefined),
  );
}

async function eventsOf(
  connection: Connection,
  { namespace }: Target,
  names: ReadonlySet<string>,
): Promise<readonly Json[]> {
  const found: Json[] = [];
  let next: string | undefined;
  for (let page = 0; page < EVENT_PAGES_MAX; page += 1) {
    const from = next === undefined ? {} : { _continue: next };
    const where = { namespace, limit: EVENTS_PER_PAGE, ...from };
    const { items, metadata } = await coreOf(connection).listNamespacedEvent(
      where,
      connection.options(),
    );
    found.push(
      ...items
        .filter(({ involvedObject }) => names.has(involvedObject.name ?? ""))
        .map((item) => typed("v1", "Event", item)),
    );
    next = metadata?._continue;
    if (next === undefined || next === "") break;
  }
  return found;
}

function coreOf({ config, client }: Connection) {
  return config.makeApiClient(client.CoreV1Api);
}

/** The items of a list do not say what they are. Dates become texts. */
function typed(apiVersion: string, kind: string, object: object): Json {
  return { apiVersion, kind, ...(JSON.parse(JSON.stringify(object)) as Json) };
}
