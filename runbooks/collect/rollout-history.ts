import type { Json } from "../types/collect.ts";
import { fileName } from "./files.ts";
import { isObject, listOf, nameOf, textAt } from "./json.ts";
import { toYaml } from "./objects.ts";
import type { Basket, StepContext, StepPorts } from "./step.ts";

/** Templates that are written down whole, so that the last change can be seen. */
const TEMPLATES_MAX = 3;
const REVISION = "deployment.kubernetes.io/revision";
const CAUSE = "kubernetes.io/change-cause";

/** What was rolled out, and when: `kubectl rollout history` with images. */
export async function collectRolloutHistory(
  _step: unknown,
  { objects, redact }: StepContext,
  _ports: StepPorts,
  { keep }: Basket,
): Promise<void> {
  const revisions = objects().revisions.toSorted((a, b) => numberOf(b) - numberOf(a));
  keep({ name: "rollout/history.txt", text: redact.text(revisions.map(lineOf).join("")) });
  for (const revision of revisions.slice(0, TEMPLATES_MAX)) {
    const text = toYaml(redact.object(templateOf(revision)));
    keep({ name: `rollout/${fileName(`revision-${numberOf(revision)}`)}.yaml`, text });
  }
}

/** A ReplicaSet has it in an annotation, a ControllerRevision as a field. */
function numberOf(revision: Json): number {
  return Number(textAt(revision, "metadata", "annotations", REVISION) || revision["revision"] || 0);
}

function templateOf(revision: Json): Json {
  const holder = isObject(revision["data"]) ? revision["data"] : revision;
  const spec = isObject(holder["spec"]) ? holder["spec"] : {};
  return isObject(spec["template"]) ? spec["template"] : {};
}

function lineOf(revision: Json): string {
  const images = listOf(templateOf(revision), "spec", "containers").map(
    (container) => `${textAt(container, "name")}=${textAt(container, "image")}`,
  );
  const since = textAt(revision, "metadata", "creationTimestamp");
  const replicas = textAt(revision, "status", "replicas") || "0";
  const cause = textAt(revision, "metadata", "annotations", CAUSE);
  const name = nameOf(revision);
  return `${numberOf(revision)}\t${since}\t${name}\t${replicas} pods\t${images.join(" ")}\t${cause}\n`;
}
