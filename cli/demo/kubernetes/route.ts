import { apiVersionOf, RESOURCES } from "./resources.ts";
import type { Resource, Target } from "./types.ts";

/** What a path points at, or undefined where a real server answers "404 page not found" in plain text. */
export function route(path: string): Target | undefined {
  const [, apiVersion, rest = ""] = /^\/apis?\/(v1|[^/]+\/[^/]+)\/(.+)$/.exec(path) ?? [];
  const parts = rest.split("/").map(decode);
  const isNamespaced = parts[0] === "namespaces";
  const [resource = "", name, subresource] = isNamespaced ? parts.slice(2) : parts;
  if (!isServed(resource) || apiVersionOf(resource) !== apiVersion) return undefined;
  if (parts.length > (isNamespaced ? 5 : 1)) return undefined; // only lists go over all namespaces
  const { group, subresources } = RESOURCES[resource];
  if (subresource !== undefined && !subresources.includes(subresource)) return undefined;
  return withoutAbsent({
    resource,
    group,
    namespace: isNamespaced ? parts[1] : undefined,
    name,
    subresource: subresource as Target["subresource"],
  });
}

function isServed(resource: string): resource is Resource {
  return Object.hasOwn(RESOURCES, resource);
}

/** A name that is no valid escape cannot be an object's name either. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function withoutAbsent(target: { [Key in keyof Target]-?: Target[Key] | undefined }): Target {
  const present = Object.entries(target).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as unknown as Target;
}

/** The verb that RBAC knows the request by. */
export function verbOf(method: string, { name }: Target): string {
  switch (method) {
    case "GET":
      return name === undefined ? "list" : "get";
    case "POST":
      return "create";
    case "PUT":
      return "update";
    default:
      return method.toLowerCase();
  }
}
