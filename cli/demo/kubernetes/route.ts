import type { Resource, Target } from "./types.ts";

const ROUTES: readonly {
  readonly prefix: string;
  readonly group: Target["group"];
  readonly subresources: Readonly<Partial<Record<Resource, readonly string[]>>>;
}[] = [
  { prefix: "/api/v1/", group: "", subresources: { pods: ["eviction"] } },
  {
    prefix: "/apis/apps/v1/",
    group: "apps",
    subresources: { deployments: ["scale"], replicasets: [] },
  },
];

/** What a path points at, or undefined where a real server answers "404 page not found" in plain text. */
export function route(path: string): Target | undefined {
  const api = ROUTES.find(({ prefix }) => path.startsWith(prefix));
  if (api === undefined) return undefined;
  const parts = path.slice(api.prefix.length).split("/").map(decode);
  const isNamespaced = parts[0] === "namespaces";
  const [resource, name, subresource, ...tooMuch] = isNamespaced ? parts.slice(2) : parts;
  const known = api.subresources[resource as Resource];
  if (known === undefined || tooMuch.length > 0) return undefined;
  if (!isNamespaced && name !== undefined) return undefined; // only lists go over all namespaces
  if (subresource !== undefined && !known.includes(subresource)) return undefined;
  return withoutAbsent({
    resource: resource as Resource,
    group: api.group,
    namespace: isNamespaced ? parts[1] : undefined,
    name,
    subresource: subresource as Target["subresource"],
  });
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
