import { labelSelector } from "./selector.ts";
import { badRequest } from "./status.ts";
import type { Store } from "./store.ts";
import type { Json, KubernetesObject, Resource, Target } from "./types.ts";

const LIST_KINDS: Readonly<Record<Resource, string>> = {
  deployments: "DeploymentList",
  replicasets: "ReplicaSetList",
  pods: "PodList",
};

/** Answers a LIST: `labelSelector`, `fieldSelector` on metadata.name, `limit` and `continue`. @throws StatusError 400 */
export function listObjects(
  store: Store,
  { resource, group, namespace }: Target,
  query: Readonly<Record<string, string>>,
): Json {
  if (query["watch"] === "1" || query["watch"] === "true") {
    throw badRequest("this stand-in does not serve watches");
  }
  const found = store
    .list(resource, namespace)
    .filter(labelSelector(query["labelSelector"] ?? ""))
    .filter(fieldSelector(query["fieldSelector"] ?? ""));
  const start = readContinue(query["continue"] ?? "");
  const limit = Number(query["limit"] ?? 0) || found.length;
  const left = found.length - start - limit;
  const more = left > 0 ? { continue: writeContinue(start + limit), remainingItemCount: left } : {};
  return {
    kind: LIST_KINDS[resource],
    apiVersion: group === "" ? "v1" : `${group}/v1`,
    metadata: { resourceVersion: store.revision, ...more },
    items: found.slice(start, start + limit).map(withoutKind),
  };
}

/** Items of a list do not repeat what the list's kind says; clients that rely on `kind` fail against a real server. */
function withoutKind({ metadata, spec, status }: KubernetesObject): Json {
  return { metadata, spec, status };
}

function fieldSelector(text: string): (object: KubernetesObject) => boolean {
  if (text === "") return () => true;
  const name = /^metadata\.name==?([^,]*)$/.exec(text)?.[1];
  if (name === undefined) {
    const label = text.split(/[=!]/, 1)[0] ?? "";
    throw badRequest(`field label not supported: ${label}`);
  }
  return ({ metadata }) => metadata.name === name;
}

function writeContinue(start: number): string {
  return Buffer.from(JSON.stringify({ v: "meta.k8s.io/v1", start })).toString("base64url");
}

function readContinue(token: string): number {
  if (token === "") return 0;
  try {
    const { start } = JSON.parse(Buffer.from(token, "base64url").toString()) as { start: number };
    return start;
  } catch {
    throw badRequest("continue key is not valid");
  }
}
