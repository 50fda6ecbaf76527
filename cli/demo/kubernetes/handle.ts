import { checkBudgets } from "./budget.ts";
import { writeStatus, type Controller } from "./controller.ts";
import { createObject } from "./create.ts";
import { accept, scaleOf, withScale } from "./deployment.ts";
import { listObjects } from "./list.ts";
import { isObject, mergePatch, strategicMergePatch } from "./patch.ts";
import {
  alreadyExists,
  badRequest,
  CREATED,
  methodNotAllowed,
  notFound,
  otherPod,
  unsupportedMediaType,
} from "./status.ts";
import { shownObject } from "./shown.ts";
import type { Store } from "./store.ts";
import type { Answer, KubernetesObject, Target } from "./types.ts";
import { isWorkload, workloadOf } from "./workload.ts";

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
  /** What a pod's containers have printed. */
  readonly logOf: (pod: KubernetesObject, query: ObjectRequest["query"]) => string;
}

/** Answers one request. @throws StatusError for every failure */
export function handleRequest(request: ObjectRequest, deps: HandleDeps): Answer {
  const { method, target } = request;
  if (target.name === undefined) return handleCollection(request, deps);
  const object = deps.store.get(target);
  if (object === undefined) throw notFound(target);
  if (target.subresource === "eviction") {
    if (method !== "POST") throw methodNotAllowed();
    return removePod(object, request, deps, CREATED);
  }
  if (target.subresource === "log") {
    if (method !== "GET") throw methodNotAllowed();
    return { status: 200, body: deps.logOf(object, request.query) };
  }
  switch (method) {
    case "GET":
      return { status: 200, body: shown(object, target, deps) };
    case "PATCH":
      return update(object, patched(object, request, deps), request, deps);
    case "PUT":
      return update(object, parseJson(request.body), request, deps);
    case "DELETE":
      return remove(object, request, deps);
    default:
      throw methodNotAllowed();
  }
}

function handleCollection(request: ObjectRequest, deps: HandleDeps): Answer {
  if (request.method === "POST") return create(request, deps);
  if (request.method !== "GET") throw methodNotAllowed();
  return { status: 200, body: listObjects(deps.store, request.target, request.query) };
}

/** Is it a request that is answered as if, and stores nothing? Evictions may say so in their body instead. */
export function isDryRun(query: ObjectRequest["query"], body: unknown): boolean {
  const options = isObject(body) && isObject(body["deleteOptions"]) ? body["deleteOptions"] : body;
  const inBody = isObject(options) ? options["dryRun"] : undefined;
  return query["dryRun"] === "All" || (Array.isArray(inBody) && inBody.includes("All"));
}

/** A patch is applied to what GET would show, so that one of the scale sub-resource sees a Scale. */
function patched(
  object: KubernetesObject,
  { contentType, body, target }: ObjectRequest,
  deps: HandleDeps,
): unknown {
  const mediaType = contentType.split(";", 1)[0]?.trim();
  const base = shown(object, target, deps);
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
  deps: HandleDeps,
): Answer {
  const { store, controller } = deps;
  const candidate = target.subresource === "scale" ? withScale(object, wanted, target) : wanted;
  const accepted = accept(object, candidate, target);
  if (accepted === object || isDryRun(query, undefined)) {
    return { status: 200, body: shown(accepted, target, deps) };
  }
  const stored = store.put(target.resource, accepted);
  const rolls = stored.metadata.generation !== object.metadata.generation;
  const { resource } = target;
  if (isWorkload(resource) && rolls) controller.notice({ ...target, resource });
  return { status: 200, body: shown(stored, target, deps), effective: true };
}

/** Only what nobody here makes pods of may come or go. */
function create({ target, query, body }: ObjectRequest, { store }: HandleDeps): Answer {
  const object = createObject(target, parseJson(body));
  if (store.get({ ...target, name: object.metadata.name }) !== undefined)
    throw alreadyExists({ ...target, name: object.metadata.name });
  if (isDryRun(query, undefined)) return { status: 201, body: object };
  return { status: 201, body: store.create(target.resource, object), effective: true };
}

function remove(object: KubernetesObject, request: ObjectRequest, deps: HandleDeps): Answer {
  const { resource } = request.target;
  if (resource === "pods") return removePod(object, request, deps, { status: 200, body: object });
  if (isWorkload(resource)) throw methodNotAllowed();
  if (isDryRun(request.query, undefined)) return { status: 200, body: object };
  deps.store.remove(resource, object);
  return { status: 200, body: object, effective: true };
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
  if (target.subresource === "eviction") checkBudgets(store, pod);
  if (isDryRun(query, content)) return success;
  const owner = workloadOf(store, pod);
  store.remove("pods", pod);
  if (owner !== undefined) {
    writeStatus(store, owner.target); // the controllers see a pod go at once; a new one takes its time
    controller.notice(owner.target);
  }
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

function shown(object: KubernetesObject, target: Target, { store }: HandleDeps): unknown {
  return target.subresource === "scale"
    ? scaleOf(object)
    : shownObject(store, target.resource, object);
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch (error) {
    throw badRequest(`error decoding patch: ${(error as Error).message}`);
  }
}
