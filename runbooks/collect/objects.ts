import { stringify } from "yaml";
import type { Json } from "../types/collect.ts";
import { fileName } from "./files.ts";
import { isObject, listOf, nameOf, textAt } from "./json.ts";
import type { Basket, StepContext, StepPorts } from "./step.ts";

/** Pods that are written down whole; the summary shows all. */
const PODS_MAX = 50;

/** The target and what belongs to it: a table for people, and each object as `kubectl get -o yaml` shows it. */
export async function collectObjects(
  _step: unknown,
  { objects, redact }: StepContext,
  _ports: StepPorts,
  { keep, note }: Basket,
): Promise<void> {
  const { workload, pods, revisions, others, problems } = objects();
  problems.forEach(note);
  keep({ name: "objects/summary.txt", text: redact.text(summary(workload, pods)) });
  const sick = pods.toSorted((a, b) => Number(isReady(a)) - Number(isReady(b)));
  if (sick.length > PODS_MAX) note(`only ${PODS_MAX} of ${sick.length} pods are written down`);
  for (const object of [workload, ...sick.slice(0, PODS_MAX), ...others, ...revisions])
    keep({ name: `objects/${fileOf(object)}`, text: toYaml(redact.object(object)) });
}

/** Long lines stay in one piece, so that what is looked for in them is found. */
export function toYaml(object: unknown): string {
  return stringify(object, { lineWidth: 0 });
}

function fileOf(object: Json): string {
  const kind = textAt(object, "kind").toLowerCase();
  return `${fileName(`${kind}-${nameOf(object)}`)}.yaml`;
}

export function isReady(pod: Json): boolean {
  return listOf(pod, "status", "conditions").some(
    (condition) => condition["type"] === "Ready" && condition["status"] === "True",
  );
}

function summary(workload: Json, pods: readonly Json[]): string {
  const spec = isObject(workload["spec"]) ? workload["spec"] : {};
  const status = isObject(workload["status"]) ? workload["status"] : {};
  const counts = Object.entries(status)
    .filter(([name, value]) => typeof value === "number" && name !== "observedGeneration")
    .map(([name, value]) => `${name} ${String(value)}`);
  const wanted = typeof spec["replicas"] === "number" ? `wanted ${spec["replicas"]}, ` : "";
  return [
    `${textAt(workload, "kind")} ${textAt(workload, "metadata", "namespace")}/${nameOf(workload)}: ${wanted}${counts.join(", ")}`,
    ...listOf(workload, "status", "conditions").map(
      (each) =>
        `condition ${textAt(each, "type")} ${textAt(each, "status")} ${textAt(each, "reason")} ${textAt(each, "message")}`,
    ),
    "",
    ...pods.flatMap(podLines),
    "",
  ].join("\n");
}

function podLines(pod: Json): readonly string[] {
  const phase = textAt(pod, "status", "phase");
  const node = textAt(pod, "spec", "nodeName");
  const since = textAt(pod, "status", "startTime");
  const ready = isReady(pod) ? "ready" : "NOT READY";
  return [
    `pod ${nameOf(pod)}: ${phase}, ${ready}, on ${node}, since ${since} ${textAt(pod, "status", "reason")}`,
    ...listOf(pod, "status", "containerStatuses").map(containerLine),
  ];
}

function containerLine(container: Json): string {
  const restarts = typeof container["restartCount"] === "number" ? container["restartCount"] : 0;
  const states = [
    ["now", container["state"]],
    ["before", container["lastState"]],
  ] as const;
  const told = states.flatMap(([when, state]) =>
    Object.entries(isObject(state) ? state : {})
      .filter(([, detail]) => isObject(detail))
      .map(([kind, detail]) => `${when} ${kind} ${detailOf(detail as Json)}`),
  );
  return `  container ${textAt(container, "name")}: ${restarts} restarts; ${told.join("; ")}`;
}

function detailOf(detail: Json): string {
  return ["reason", "exitCode", "signal", "message", "startedAt", "finishedAt"]
    .filter((name) => detail[name] !== undefined && detail[name] !== null)
    .map((name) => `${name} ${String(detail[name])}`)
    .join(", ");
}
