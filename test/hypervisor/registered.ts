import type { Requirement } from "../../hypervisor/frame/route.ts";

export interface RegisteredRoute {
  /** Upper case; `WS` for a WebSocket. */
  readonly method: string;
  /** With `{name}` for its parameters. */
  readonly path: string;
  readonly permission: Requirement;
  readonly dryRun: boolean;
  /** Names of its query's parameters. */
  readonly query: readonly string[];
  /** Of its JSON body's members. */
  readonly body: readonly string[];
}

interface Operation {
  readonly "x-permission": Requirement;
  readonly "x-websocket"?: { readonly "x-permission": Requirement };
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: { properties?: object } }>>;
  };
  readonly responses: Readonly<Record<string, unknown>>;
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Every route of a running service, as its own description tells. */
export async function registeredRoutes(url: string): Promise<readonly RegisteredRoute[]> {
  const response = await fetch(`${url}/openapi.json`);
  const { paths } = (await response.json()) as Description;
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, operation]) => routesOf(path, method, operation)),
  );
}

/** One address may answer a GET and open a WebSocket. */
function routesOf(path: string, method: string, operation: Operation): RegisteredRoute[] {
  const { parameters = [], requestBody, responses, "x-websocket": socket } = operation;
  const { properties = {} } = requestBody?.content["application/json"]?.schema ?? {};
  const body = Object.keys(properties);
  const names = parameters.filter((each) => each.in === "query").map(({ name }) => name);
  const query = names.filter((name) => name !== "dryRun");
  const dryRun = query.length < names.length;
  const plain = { method: method.toUpperCase(), path, permission: operation["x-permission"] };
  return [
    ...(responses["101"] === undefined ? [{ ...plain, dryRun, query, body }] : []),
    ...(socket === undefined
      ? []
      : [{ method: "WS", path, permission: socket["x-permission"], dryRun: false, query, body }]),
  ];
}
