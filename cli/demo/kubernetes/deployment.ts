import { isDeepStrictEqual } from "node:util";
import { checkKeys } from "./create.ts";
import { isObject } from "./patch.ts";
import { badRequest, invalid, modified, otherUid } from "./status.ts";
import type { Json, KubernetesObject, Target } from "./types.ts";
import { isWorkload, replicasOf } from "./workload.ts";

/**
 * Turns what a client made of an object into what is stored: checks its preconditions, keeps what only the server may
 * write, bumps the generation when the spec changed.
 *
 * @returns `before` itself when nothing changed
 * @throws StatusError 409 for a stale resourceVersion or another uid, 422 for an invalid spec, 400 for a wrong type
 */
export function accept(
  before: KubernetesObject,
  candidate: unknown,
  target: Target,
): KubernetesObject {
  if (!isObject(candidate)) throw badRequest("the object provided is unrecognized");
  const wanted = isObject(candidate["metadata"]) ? candidate["metadata"] : {};
  checkPreconditions(before, wanted, target);
  const spec = isObject(candidate["spec"]) ? candidate["spec"] : {};
  if (isWorkload(target.resource)) checkWorkloadSpec(spec, target);
  checkKeys(target, candidate["data"]);

  const { name, namespace, uid, creationTimestamp, resourceVersion, generation } = before.metadata;
  const kept = { name, namespace, uid, creationTimestamp, resourceVersion };
  const counted = generation === undefined ? {} : { generation };
  const { apiVersion, kind, status } = before;
  const own = { apiVersion, kind, metadata: { ...wanted, ...kept, ...counted }, spec, status };
  const after = { ...candidate, ...own };
  if (isDeepStrictEqual(after, before)) return before;
  if (generation === undefined || isDeepStrictEqual(spec, before.spec)) return after;
  return { ...after, metadata: { ...after.metadata, generation: generation + 1 } };
}

/** The `autoscaling/v1` view of a Deployment or StatefulSet; it shares its resourceVersion. A zero is left out, as Go does. */
export function scaleOf({ metadata, spec, status }: KubernetesObject): Json {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const selector = isObject(spec["selector"]) ? spec["selector"]["matchLabels"] : undefined;
  const labels = isObject(selector) ? Object.entries(selector) : [];
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: replicasOf(spec) === 0 ? {} : { replicas: replicasOf(spec) },
    status: {
      replicas: status["replicas"] ?? 0,
      selector: labels.map(([label, value]) => `${label}=${String(value)}`).join(","),
    },
  };
}

/** The workload that a changed Scale asks for, still to be {@link accept}ed. */
export function withScale(deployment: KubernetesObject, scale: unknown, target: Target): unknown {
  if (!isObject(scale)) throw badRequest("the object provided is unrecognized");
  const spec = isObject(scale["spec"]) ? scale["spec"] : {};
  const replicas = spec["replicas"] ?? 0;
  checkReplicas(replicas, target);
  const asked = isObject(scale["metadata"]) ? scale["metadata"] : {};
  const { resourceVersion, uid } = { ...deployment.metadata, ...asked };
  return {
    ...deployment,
    metadata: { ...deployment.metadata, resourceVersion, uid },
    spec: { ...deployment.spec, replicas },
  };
}

/** An absent precondition holds; so does an empty resourceVersion, which Go cannot tell from an absent one. */
function checkPreconditions(before: KubernetesObject, wanted: Json, target: Target): void {
  const { resourceVersion, uid } = before.metadata;
  const wantedUid = wanted["uid"] ?? uid;
  if (wantedUid !== uid)
    throw otherUid(target, typeof wantedUid === "string" ? wantedUid : "?", uid);
  const wantedVersion = wanted["resourceVersion"] ?? "";
  if (wantedVersion !== "" && wantedVersion !== resourceVersion) throw modified(target);
}

function checkWorkloadSpec(spec: Json, target: Target): void {
  checkReplicas(spec["replicas"] ?? 1, target);
  const template = isObject(spec["template"]) ? spec["template"] : {};
  const podSpec = isObject(template["spec"]) ? template["spec"] : {};
  const containers = Array.isArray(podSpec["containers"]) ? podSpec["containers"] : [];
  const field = "spec.template.spec.containers";
  if (containers.length === 0) throw invalid(target, field, "FieldValueRequired", "Required value");
  for (const [index, container] of containers.entries()) {
    for (const name of ["name", "image"]) {
      if (isObject(container) && typeof container[name] === "string") continue;
      throw invalid(target, `${field}[${index}].${name}`, "FieldValueRequired", "Required value");
    }
  }
}

function checkReplicas(replicas: unknown, target: Target): void {
  if (!Number.isInteger(replicas)) {
    throw badRequest(
      `cannot unmarshal ${typeof replicas} into Go struct field DeploymentSpec.spec.replicas of type int32`,
    );
  }
  if ((replicas as number) >= 0) return;
  const message = `Invalid value: ${String(replicas)}: must be greater than or equal to 0`;
  throw invalid(target, "spec.replicas", "FieldValueInvalid", message);
}
