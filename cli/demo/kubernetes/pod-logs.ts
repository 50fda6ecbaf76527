import { isObject } from "./patch.ts";
import { badRequest } from "./status.ts";
import type { Store } from "./store.ts";
import type { Json, KubernetesObject, Target } from "./types.ts";

/** Which of a pod's logs: of its first container, as it runs now, unless said. */
export interface LogOf {
  readonly container?: string;
  readonly previous?: boolean;
}

/** What the pods' containers have printed. */
export class PodLogs {
  readonly #texts = new Map<string, string>();

  set(namespace: string, pod: string, text: string, { container = "", previous }: LogOf): void {
    this.#texts.set(keyOf(namespace, pod, container, previous === true), text);
  }

  /**
   * Answers `GET …/log` with `container`, `previous`, `tailLines` and `limitBytes`.
   *
   * @throws StatusError 400 for a container that is not there, or that was never restarted
   */
  read(pod: KubernetesObject, query: Readonly<Record<string, string>>): string {
    const { namespace, name } = pod.metadata;
    const containers = namesOf(pod.spec["containers"]);
    const container = query["container"] ?? containers[0] ?? "";
    if (!containers.includes(container))
      throw badRequest(`container ${container} is not valid for pod ${name}`);
    const previous = query["previous"] === "true";
    if (previous && restartsOf(pod, container) === 0)
      throw badRequest(`previous terminated container "${container}" in pod "${name}" not found`);
    const first = container === containers[0] ? "" : container;
    const text =
      this.#texts.get(keyOf(namespace, name, container, previous)) ??
      this.#texts.get(keyOf(namespace, name, first, previous)) ??
      "";
    return limited(text, query);
  }
}

function keyOf(namespace: string, pod: string, container: string, previous: boolean): string {
  return `${namespace}/${pod}/${container}/${String(previous)}`;
}

/** The last lines; of these the first bytes, as a kubelet does it. */
function limited(
  text: string,
  { tailLines, limitBytes }: Readonly<Record<string, string>>,
): string {
  const lines = text.split("\n");
  const ends = lines.at(-1) === "" ? 1 : 0;
  const tail = tailLines === undefined ? lines : lines.slice(-(Number(tailLines) + ends));
  const shown = Buffer.from(tail.join("\n"));
  return shown.subarray(0, Number(limitBytes ?? shown.length)).toString();
}

/** The pod's first container has died: it is waited with until it is started again. */
export function crashPod(store: Store, target: Target, exitCode: number): void {
  const pod = store.get(target);
  if (pod === undefined) throw new Error(`there is no pod ${target.name ?? ""}`);
  const [first = {}, ...rest] = statusesOf(pod);
  const now = new Date().toISOString();
  const crashed = {
    ...first,
    ready: false,
    restartCount: Number(first["restartCount"] ?? 0) + 1,
    state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s restarting failed" } },
    lastState: { terminated: { exitCode, reason: "Error", startedAt: now, finishedAt: now } },
  };
  const conditions = [{ type: "Ready", status: "False" }];
  const status = { ...pod.status, conditions, containerStatuses: [crashed, ...rest] };
  store.put("pods", { ...pod, status });
}

/** What a kubelet tells of containers that were just started. */
export function freshStatuses(spec: Json, startedAt: string): readonly Json[] {
  const containers = Array.isArray(spec["containers"]) ? spec["containers"].filter(isObject) : [];
  return containers.map(({ name, image }) => ({
    name,
    image,
    ready: true,
    restartCount: 0,
    state: { running: { startedAt } },
    lastState: {},
  }));
}

function statusesOf({ status }: KubernetesObject): readonly Json[] {
  const { containerStatuses: statuses } = status;
  return Array.isArray(statuses) ? statuses.filter(isObject) : [];
}

function restartsOf(pod: KubernetesObject, container: string): number {
  const found = statusesOf(pod).find(({ name }) => name === container);
  return Number(found?.["restartCount"] ?? 0);
}

function namesOf(list: unknown): readonly string[] {
  return (Array.isArray(list) ? list.filter(isObject) : []).map(({ name }) => String(name));
}
