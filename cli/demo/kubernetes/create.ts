import { isObject } from "./patch.ts";
import { apiVersionOf, RESOURCES } from "./resources.ts";
import { badRequest, invalid, methodNotAllowed } from "./status.ts";
import type { NewObject } from "./store.ts";
import type { Target } from "./types.ts";
import { isWorkload } from "./workload.ts";

const CONFIG_MAP_KEY = /^[-._a-zA-Z0-9]+$/;

/** A new object of a kind that is only kept. @throws StatusError 405 for workloads and pods, 400, 422 */
export function createObject(target: Target, body: unknown): NewObject {
  const { resource, namespace = "" } = target;
  if (isWorkload(resource) || resource === "pods") throw methodNotAllowed();
  if (!isObject(body)) throw badRequest("the object provided is unrecognized");
  const metadata = isObject(body["metadata"]) ? body["metadata"] : {};
  const { name } = metadata;
  if (typeof name !== "string" || name === "")
    throw invalid(target, "metadata.name", "FieldValueRequired", "Required value");
  checkKeys({ ...target, name }, body["data"]);
  return {
    ...body,
    apiVersion: apiVersionOf(resource),
    kind: RESOURCES[resource].kind,
    metadata: { ...metadata, name, namespace },
    spec: isObject(body["spec"]) ? body["spec"] : {},
    status: isObject(body["status"]) ? body["status"] : {},
  };
}

/** The server refuses keys of a ConfigMap that could not be file names, `*` among them. */
export function checkKeys(target: Target, data: unknown): void {
  if (target.resource !== "configmaps" || !isObject(data)) return;
  const bad = Object.keys(data).find((key) => !CONFIG_MAP_KEY.test(key));
  if (bad === undefined) return;
  const rule =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' " +
    "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
  const message = `Invalid value: ${JSON.stringify(bad)}: ${rule}`;
  throw invalid(target, `data[${bad}]`, "FieldValueInvalid", message);
}
