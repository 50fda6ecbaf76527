import type { Requirement } from "../../hypervisor/frame/route.ts";

export interface RegisteredRoute {
  /** Upper case; `WS` for a WebSocket. */
  readonly method: string;
  /** With `{name}` for its parameters. */
  readonly path: string;
  readonly permission: Requirement;
  readonly dryRun: boolean;
}

interface Operation {
  readonly "x-permission": Requirement;
  readonly parameters?: readonly { readonly name: string }[];
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
    Object.entries(operations).map(([method, operation]) => ({
      method: operation.responses["101"] === undefined ? method.toUpperCase() : "WS",
      path,
      permission: operation["x-permission"],
      dryRun: operation.parameters?.some(({ name }) => name === "dryRun") === true,
    })),
  );
}
