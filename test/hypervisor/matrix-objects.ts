import type { RegisteredRoute } from "./registered.ts";

/** The two organizations. Whatever belongs to one has its name in its own, so that a leak is seen in any answer. */
export const SIDES = ["lyra", "orion"] as const;
export type Side = (typeof SIDES)[number];
/** Of what is to be found: who asks owns it, the other organization does, or nobody. */
export const WHOSE = ["own", "other", "absent"] as const;
export type Whose = (typeof WHOSE)[number];

interface Recipe {
  /** @param side whose object; undefined for one that is not there @param ids what the service chose as ids */
  readonly named: (side: Side | undefined, ids: Ids) => string;
  /** Why all see the same one: it belongs to no organization. */
  readonly shared?: string;
}

export type Ids = ReadonlyMap<string, string>;

const tenants = (rest: string): Recipe => ({ named: (side) => `${side ?? "none"}${rest}` });
const shared = (name: string, why: string, none = "none-such"): Recipe => ({
  named: (side) => (side === undefined ? none : name),
  shared: why,
});
const PLATFORM = "the platform's, and refused to tenants";
const PROXY = "whole servers, for the platform's people";
const METRICS = "the platform's metrics";
const LOGS = "the platform's services";

/** What stands for each `{parameter}`, by the address up to it. */
const IN_PATH: Readonly<Record<string, Recipe>> = {
  "/api/v1/containers/{name}": tenants("-web"),
  "/api/v1/containers/{name}/schedules/{schedule}": tenants("-nightly"),
  "/api/v1/containers/{name}/snapshots/{snapshot}": tenants("-kept"),
  "/ws/terminal/{name}": tenants("-web"),
  "/api/v1/organizations/{id}": tenants(""),
  "/api/v1/vdcs/{id}": tenants("-vdc"),
  "/api/v1/users/{username}": tenants("-member"),
  "/api/v1/tokens/{id}": { named: (side, ids) => ids.get(`${side}-token`) ?? "tok_none" },
  "/api/v1/terminals/{session}": { named: (side) => `term_${side ?? "none"}` },
  "/progress/{workflow_id}": tenants("-flow"),
  "/api/v1/storage/volumes/{volume}": tenants("-volume"),
  "/api/v1/storage/pools/{pool}": shared("spare", PLATFORM),
  "/api/v1/network/bridges/{bridge}": shared("brspare", PLATFORM),
  "/api/v1/roles/{role}": shared("Watcher", "roles are all organizations'"),
  "/api/v1/templates/{template}": shared("small", "templates are all organizations'"),
  "/api/v1/logs/{service_id}": shared("web", LOGS),
  "/ws/logs/{service_id}": shared("web", LOGS),
  "/monitoring/metrics/{name}": shared("up", METRICS, "none"),
  "/monitoring/workflows/metrics/{name}": shared("workflow_runs", METRICS, "none"),
  "/grafana/{path}": shared("api/health", PROXY),
  "/prometheus/{path}": shared("api/v1/query", PROXY, "api/v1/none-such"),
  "/loki/{path}": shared("ready", PROXY, "loki/api/v1/series"),
  "/docs/{file}": shared("swagger-ui.css", "public"),
};

/** Query parameters that name an object, wherever they stand. */
const IN_QUERY: Readonly<Record<string, Recipe>> = {
  project: tenants("-p"),
  workflow_id: tenants("-flow"),
  owner: tenants("-member"),
  user: tenants("-member"),
};
/** Members of bodies that name an object, by the route: others have their own parts of it there. */
const IN_BODY: Readonly<Record<string, Recipe>> = {
  organization: tenants(""),
  owner: tenants("-member"),
};
/** Of lists of what one may see anyway: they only leave some of it out. */
export const FILTERS: ReadonlyMap<string, string> = new Map([
  ["/api/v1/operations?project", "-p"],
  ["/api/v1/audit/logs?user", "-member"],
  ["/api/v1/vdcs?organization", ""],
]);
/** What else a route must be asked with. */
const MORE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "GET /api/v1/storage/volumes": { pool: "default" },
  "DELETE /api/v1/storage/volumes/{volume}": { pool: "default" },
  "DELETE /api/v1/containers/{name}": { force: "true" },
};

export const SNAPSHOT = (side: Side): string =>
  IN_PATH["/api/v1/containers/{name}/snapshots/{snapshot}"]?.named(side, new Map()) ?? "";
const cron = { cron: "0 2 * * *", time_zone: "UTC", keep: { last: 1 } };

/** What is sent to a route with an object; a good one, or nobody would get as far as the object. */
const BODIES: Readonly<Record<string, (side: Side) => object>> = {
  "POST /api/v1/containers": () => ({ name: "more", image: "debian:12" }),
  "POST /api/v1/tokens": () => ({ name: "more", permissions: [] }),
  "POST /api/v1/users": () => ({ username: "more", role: "OrgUser", password: null }),
  "POST /api/v1/vdcs": () => ({ id: "more", name: "more" }),
  "PATCH /api/v1/containers/{name}": () => ({ cpus: 1 }),
  "POST /api/v1/containers/{name}/action": () => ({ action: "stop" }),
  "POST /api/v1/containers/{name}/schedules": () => ({ name: "more", ...cron }),
  "PUT /api/v1/containers/{name}/schedules/{schedule}": () => ({ ...cron, enabled: true }),
  "POST /api/v1/containers/{name}/snapshots": () => ({ name: "more" }),
  "POST /api/v1/containers/{name}/snapshots/clone": (side) => ({
    ...{ snapshot_name: SNAPSHOT(side), new_container_name: "twin" },
  }),
  "POST /api/v1/containers/{name}/snapshots/export": (side) => ({ snapshot_name: SNAPSHOT(side) }),
  "POST /api/v1/containers/{name}/snapshots/restore": (side) => ({ snapshot_name: SNAPSHOT(side) }),
  "POST /api/v1/storage/volumes": () => ({ name: "more", pool: "default", size_bytes: 2 ** 20 }),
  "PUT /api/v1/organizations/{id}": () => ({ description: "x" }),
  "PUT /api/v1/vdcs/{id}": () => ({ description: "x" }),
  "PUT /api/v1/users/{username}": () => ({ email: "x@example.com" }),
  "PUT /api/v1/roles/{role}": () => ({ permissions: [] }),
  "PUT /api/v1/templates/{template}": () => ({ spec: { image: "debian:12" } }),
  "POST /api/v1/templates/{template}/containers": () => ({ name: "more" }),
};

/** Where a route's objects stand in its address. */
export interface Objects {
  readonly route: RegisteredRoute;
  /** From the first to the innermost: the last is what is not there. */
  readonly places: readonly {
    readonly in: "path" | "query" | "body";
    readonly name: string;
    readonly recipe: Recipe;
  }[];
  /** Why its objects belong to no organization. */
  readonly shared: string | undefined;
}

/** @returns a text where no recipe says what to put for one of its parameters: it names the route */
export function objectsOf(route: RegisteredRoute): Objects | string {
  const { method, path, query, body } = route;
  const places: Objects["places"][number][] = query
    .filter((name) => name in IN_QUERY && !FILTERS.has(`${path}?${name}`))
    .map((name) => ({ in: "query", name, recipe: IN_QUERY[name] ?? tenants("") }));
  for (const name of body.filter((each) => each in IN_BODY))
    places.push({ in: "body", name, recipe: IN_BODY[name] ?? tenants("") });
  for (const { 0: part, index, 1: name = "" } of path.matchAll(/{(\w+)}/g)) {
    const recipe = IN_PATH[path.slice(0, index + part.length)];
    if (recipe === undefined) return `${method} ${path}: no recipe for ${part}`;
    places.push({ in: "path", name, recipe });
  }
  const reasons = places.map(({ recipe }) => recipe.shared);
  const all = places.length > 0 && reasons.every((each) => each !== undefined);
  return { route, places, shared: all ? reasons.at(-1) : undefined };
}

/** The address of an object, and what is sent to it. */
export function requestFor(
  { route, places }: Objects,
  {
    side,
    whose,
    ids,
  }: { readonly side: Side; readonly whose: Whose | "nowhere"; readonly ids: Ids },
): { readonly path: string; readonly body: object | undefined } {
  const other = SIDES[0] === side ? SIDES[1] : SIDES[0];
  const owner = whose === "other" ? other : side;
  const { method } = route;
  const query = fixedQuery(route);
  const named: Record<string, string> = {};
  let { path } = route;
  for (const [at, place] of places.entries()) {
    const { recipe, name } = place;
    const innermost = at === places.length - 1;
    const missing = whose === "nowhere" || (whose === "absent" && innermost);
    const value = recipe.named(missing ? undefined : owner, ids);
    if (place.in === "query") query.set(name, value);
    else if (place.in === "body") named[name] = value;
    else path = path.replace(`{${name}}`, value);
  }
  const nonsense = ["GET", "WS", "DELETE"].includes(method) ? undefined : { nonsense: true };
  const body = BODIES[`${method} ${route.path}`]?.(owner);
  return { path: `${path}?${query.toString()}`, body: body ? { ...body, ...named } : nonsense };
}

function fixedQuery({ method, path, dryRun }: RegisteredRoute): URLSearchParams {
  const dry = dryRun ? { dryRun: "true" } : {};
  return new URLSearchParams({ ...dry, ...MORE[`${method} ${path}`] });
}
