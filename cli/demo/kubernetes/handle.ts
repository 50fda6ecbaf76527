import type { Controller } from "./controller.ts";
import { accept, scaleOf, withScale } from "./deployment.ts";
import { listObjects } from "./list.ts";
import { isObject, mergePatch, strategicMergePatch } from "./patch.ts";
import {
  badRequest,
  CREATED,
  methodNotAllowed,
  notFound,
  otherPod,
  unsupportedMediaType,
} from "./status.ts";
import type { Store } from "./store.ts";
import type { Answer, KubernetesObject, Target } from "./types.ts";
import { deploymentOf } from "./workload.ts";

/** A request after authentication and routing. */
export interface ObjectRequest {
  readonly method: string;
  readonly target: Target;
  readonly query: Readonly<Record<string, string>>;
  readonly contentType: string;
  readonly body: string;
}

export interface HandleDeps {
  readonly store: Store;
  readonly controller: Controller;
}

/** Answers one request. @throws StatusError for every failure */
export function handleRequest(request: ObjectRequest, deps: HandleDeps): Answer {
  const { method, target } = request;
  if (target.name === undefined) {
    if (method !== "GET") throw methodNotAllowed();
    return { status: 200, body: listObjects(deps.store, target, request.query) };
  }
  const object = deps.store.get(target);
  if (object === undefined) throw notFound(target);
  if (target.subresource === "eviction") {
    if (method !== "POST") throw methodNotAllowed();
    return removePod(object, request, deps, CREATED);
  }
  switch (method) {
    case "GET":
      return { status: 200, body: shown(object, target) };
    case "PATCH":
      return update(object, patched(object, request), request, deps);
    case "PUT":
      return update(object, parseJson(request.body), request, deps);
    case "DELETE":
      if (target.resource !== "pods") throw methodNotAllowed();
      return removePod(object, request, deps, { status: 200, body: object });
    default:
      throw methodNotAllowed();
  }
}

/** Is it a request that is answered as if, and stores nothing? Evictions may say so in their body instead. */
export function isDryRun(query: ObjectRequest["query"], body: unknown): boolean {
  const options = isObject(body) && isObject(body["deleteOptions"]) ? body["deleteOptions"] : body;
  const inBody = isObject(options) ? options["dryRun"] : undefined;
  return query["dryRun"] === "All" || (Array.isArray(inBody) && inBody.includes("All"));
}

/** A patch is applied to what GET would show, so that one of the scale sub-resource sees a Scale. */
function patched(object: KubernetesObject, { contentType, body, target }: ObjectRequest): unknown {
  const mediaType = contentType.split(";", 1)[0]?.trim();
  const base = shown(object, target);
  switch (mediaType) {
    case "application/merge-patch+json":
      return mergePatch(base, parseJson(body));
    case "application/strategic-merge-patch+json":
      return strategicMergePatch(base, parseJson(body));
    case undefined:
    default:
      throw unsupportedMediaType();
  }
}

function update(
  object: KubernetesObject,
  wanted: unknown,
  { target, query }: ObjectRequest,
  { store, controller }: HandleDeps,
): Answer {
  const candidate = target.subresource === "scale" ? withScale(object, wanted, target) : wanted;
  const accepted = accept(object, candidate, target);
  if (accepted === object || isDryRun(query, undefined)) {
    return { status: 200, body: shown(accepted, target) };
  }
  const stored = store.put(target.resource, accepted);
  const rolls = stored.metadata.generation !== object.metadata.generation;
  if (target.resource === "deployments" && rolls) controller.notice(stored);
  return { status: 200, body: shown(stored, target), effective: true };
}

function removePod(
  pod: KubernetesObject,
  { target, query, body }: ObjectRequest,
  { store, controller }: HandleDeps,
  success: Answer,
): Answer {
  const content = body === "" ? {} : parseJson(body);
  const wanted = uidPrecondition(content);
  if (wanted !== undefined && wanted !== pod.metadata.uid) {
    throw otherPod(target, wanted, pod.metadata.uid);
  }
  if (isDryRun(query, content)) return success;
  const owner = deploymentOf(store, pod);
  store.remove("pods", pod);
  if (owner !== undefined) controller.notice(owner);
  return { ...success, effective: true };
}

/** In an Eviction the options are one level deeper than in a DELETE. */
function uidPrecondition(content: unknown): string | undefined {
  if (!isObject(content)) return undefined;
  const options = isObject(content["deleteOptions"]) ? content["deleteOptions"] : content;
  const { preconditions } = options;
  const uid = isObject(preconditions) ? preconditions["uid"] : undefined;
  return typeof uid === "string" ? uid : undefined;
}

function shown(object: KubernetesObject, target: Target): unknown {
  return target.subresource === "scale" ? scaleOf(object) : object;
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch (error) {
    throw badRequest(`error decoding patch: ${(error as Error).message}`);
  }
}
