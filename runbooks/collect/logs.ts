import { messageOf } from "../../lib/error.ts";
import type { CollectStep, Json } from "../types/collect.ts";
import { cutText, fileName } from "./files.ts";
import { listOf, nameOf, textAt } from "./json.ts";
import { isReady } from "./objects.ts";
import type { Basket, StepContext, StepPorts } from "./step.ts";

/** The sick ones first, then those that were restarted most. */
const PODS_MAX = 20;
const AT_ONCE = 4;

interface Wanted {
  readonly pod: string;
  readonly container: string;
  readonly previous: boolean;
}

/** The end of what each container has printed, and of what it printed before its last restart. */
export async function collectLogs(
  { lines, previous, max_bytes: bytesMax }: Extract<CollectStep, { readonly step: "logs" }>,
  { objects, target, redact, signal }: StepContext,
  { diagnostics }: StepPorts,
  { keep, note }: Basket,
): Promise<void> {
  const pods = objects().pods.toSorted((a, b) => urgency(b) - urgency(a));
  if (pods.length > PODS_MAX) note(`the logs of ${PODS_MAX} of ${pods.length} pods were read`);
  const wanted = pods.slice(0, PODS_MAX).flatMap((pod) => wantedOf(pod, previous));
  const read = async (log: Wanted) => {
    const { pod, container } = log;
    try {
      const text = await diagnostics.log(target, { ...log, lines, bytesMax });
      const safe = Buffer.from(await redact.log(text));
      const name = `${fileName("logs", pod, container)}${log.previous ? ".previous" : ""}.log`;
      keep({ name, text: cutText(safe, { bytesMax, tail: true }).toString("utf8"), tail: true });
    } catch (error) {
      note(`${pod}/${container}${log.previous ? " before its restart" : ""}: ${messageOf(error)}`);
    }
  };
  // In the order of their urgency, a few at once.
  const queue = wanted.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const log of queue) {
        if (signal.aborted) return;
        await read(log);
      }
    }),
  );
}

function urgency(pod: Json): number {
  const restarts = listOf(pod, "status", "containerStatuses").map(restartsOf);
  return (isReady(pod) ? 0 : 1_000_000) + Math.max(0, ...restarts);
}

function restartsOf(container: Json): number {
  return typeof container["restartCount"] === "number" ? container["restartCount"] : 0;
}

/** What was before a restart tells why: it comes first. */
function wantedOf(pod: Json, previous: boolean): readonly Wanted[] {
  const restarted = new Set(
    listOf(pod, "status", "containerStatuses")
      .filter((container) => restartsOf(container) > 0)
      .map((container) => textAt(container, "name")),
  );
  return listOf(pod, "spec", "containers").flatMap((each) => {
    const log = { pod: nameOf(pod), container: textAt(each, "name") };
    const before =
      previous && restarted.has(log.container) ? [{ ...log, previous: true as boolean }] : [];
    return [...before, { ...log, previous: false }];
  });
}

/** The end of what a container of the hypervisor has printed. */
export async function collectContainerLogs(
  { container, lines }: Extract<CollectStep, { readonly step: "container_logs" }>,
  { target, redact, signal }: StepContext,
  { containers }: StepPorts,
  { keep, note }: Basket,
): Promise<void> {
  const isOurs = container === undefined && target.kind === "container";
  const named = isOurs ? target : container === undefined ? undefined : { name: container };
  if (named === undefined) {
    note("the target is no container of the hypervisor, and the step names none");
    return;
  }
  if (containers === undefined) {
    note("no hypervisor is configured (RUNBOOK_HYPERVISOR_URL)");
    return;
  }
  const text = await redact.log(await containers.logs(named, lines, signal));
  keep({ name: `${fileName("containers", named.name)}.log`, text, tail: true });
}
