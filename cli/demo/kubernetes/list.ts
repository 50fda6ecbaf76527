import { isObject } from "./patch.ts";
import { labelSelector } from "./selector.ts";
import { badRequest } from "./status.ts";
import type { Store } from "./store.ts";
import { apiVersionOf, RESOURCES } from "./resources.ts";
import { shownObject } from "./shown.ts";
import type { Json, KubernetesObject, Target } from "./types.ts";

/** Answers a LIST: `labelSelector`, `fieldSelector`, `limit` and `continue`. @throws StatusError 400 */
export function listObjects(
  store: Store,
  { resource, namespace }: Target,
  query: Readonly<Record<string, string>>,
): Json {
  const found = store.list(resource, namespace).filter(selected(query));
  const start = readContinue(query["continue"] ?? "");
  const limit = Number(query["limit"] ?? 0) || found.length;
  const left = found.length - start - limit;
  const more = left > 0 ? { continue: writeContinue(start + limit), remainingItemCount: left } : {};
  return {
    kind: `${RESOURCES[resource].kind}List`,
    apiVersion: apiVersionOf(resource),
    metadata: { resourceVersion: store.revision, ...more },
    items: found
      .slice(start, start + limit)
      .map((object) => withoutKind(shownObject(store, resource, object))),
  };
}

/** The selectors of a LIST or a watch. @throws StatusError 400 */
export function selected(
  query: Readonly<Record<string, string>>,
): (object: KubernetesObject) => boolean {
  const byLabel = labelSelector(query["labelSelector"] ?? "");
  const byField = fieldSelector(query["fieldSelector"] ?? "");
  return (object) => byLabel(object) && byField(object);
}

/** Items of a list do not repeat what the list's kind says; clients that rely on `kind` fail against a real server. */
function withoutKind(object: Json): Json {
  const hidden = new Set(["apiVersion", "kind"]);
  return Object.fromEntries(Object.entries(object).filter(([field]) => !hidden.has(field)));
}

/** The fields that a real server selects by, of the kinds that are served. */
const FIELDS =
  /^(metadata\.(name|namespace)|involvedObject\.(kind|name|uid|namespace)|spec\.nodeName|status\.phase)$/;

function fieldSelector(text: string): (object: KubernetesObject) => boolean {
  const wanted = text
    .split(",")
    .filter((part) => part !== "")
    .map((part) => {
      const [, field = part, operator, value] = /^([^=!]+)(==|=|!=)(.*)$/.exec(part) ?? [];
      if (operator === undefined || !FIELDS.test(field))
        throw badRequest(`field label not supported: ${field}`);
      return { path: field.split("."), value, equal: operator !== "!=" };
    });
  return (object) =>
    wanted.every(({ path, value, equal }) => (fieldOf(object, path) === value) === equal);
}

function fieldOf(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), object);
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
