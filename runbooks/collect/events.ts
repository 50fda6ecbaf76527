import type { Json } from "../types/collect.ts";
import { nameOf, textAt } from "./json.ts";
import type { Basket, StepContext, StepPorts } from "./step.ts";

/** What Kubernetes itself has noticed about the target and what belongs to it, the newest last. */
export async function collectEvents(
  _step: unknown,
  { objects, target, redact }: StepContext,
  { diagnostics }: StepPorts,
  { keep, note }: Basket,
): Promise<void> {
  const { workload, pods, revisions, others } = objects();
  const names = new Set([workload, ...pods, ...revisions, ...others].map(nameOf));
  const events = (await diagnostics.events(target, names)).toSorted((a, b) =>
    timeOf(a) < timeOf(b) ? -1 : 1,
  );
  if (events.length === 0)
    note("Kubernetes has no events about it (it forgets them after an hour)");
  keep({ name: "events/events.txt", text: redact.text(events.map(lineOf).join("")), tail: true });
  keep({
    name: "events/events.json",
    text: `${JSON.stringify(redact.object(events), null, 1)}\n`,
  });
}

function lineOf(event: Json): string {
  const about = `${textAt(event, "involvedObject", "kind")}/${textAt(event, "involvedObject", "name")}`;
  const count = textAt(event, "count");
  const times = count === "" || count === "1" ? "" : ` (${count} times)`;
  const what = `${textAt(event, "type")} ${textAt(event, "reason")}`;
  const message = textAt(event, "message").replaceAll("\n", " ");
  return `${timeOf(event)} ${what} ${about}${times}: ${message}\n`;
}

/** Newer recorders leave `lastTimestamp` out. */
function timeOf(event: Json): string {
  const times = ["lastTimestamp", "eventTime", "firstTimestamp"].map((name) => textAt(event, name));
  return times.find((time) => time !== "") ?? textAt(event, "metadata", "creationTimestamp");
}
