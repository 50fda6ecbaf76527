import type { Express, RequestHandler } from "express";
import { HttpProblem } from "../lib/problem.ts";
import type { Log } from "../lib/log.ts";
import type { Authenticator, Permission } from "./types.ts";

/** What a route asks of its caller. `public` says that somebody has decided so. */
type Requirement = Permission | "public";

/**
 * Every route of the API and what it asks. A route that does not stand here cannot be registered, so nobody forgets to
 * protect one. /health, /ready and /metrics are the frame's (lib/http.ts) and public.
 */
const REQUIREMENTS: Readonly<Record<string, Requirement>> = {
  "GET /metrics/json": "public",
  "GET /api/v1/audit/logs": "audit:read",
};

type Method = "get" | "post" | "put" | "patch" | "delete";

export interface Router {
  /** @throws at start-up when the table of requirements does not know the route */
  route(method: Method, path: string, handler: RequestHandler): void;
}

/** Registers routes behind what the table asks for: default deny. */
export function guardedRouter(
  app: Express,
  deps: { readonly authenticator: Authenticator; readonly log: Log },
): Router {
  return {
    route: (method, path, handler) => {
      const name = `${method.toUpperCase()} ${path}`;
      const requirement = Object.hasOwn(REQUIREMENTS, name) ? REQUIREMENTS[name] : undefined;
      if (requirement === undefined) throw new Error(`route ${name} has no permission`);
      if (requirement === "public") app[method](path, handler);
      else app[method](path, guard(requirement, name, deps), handler);
    },
  };
}

function guard(
  permission: Permission,
  route: string,
  { authenticator, log }: { readonly authenticator: Authenticator; readonly log: Log },
): RequestHandler {
  return async (request, _response, next) => {
    const token = /^Bearer ([\x21-\x7e]{1,4096})$/i.exec(request.get("authorization") ?? "")?.[1];
    const principal = token === undefined ? undefined : await authenticator.identify(token);
    if (principal === undefined) {
      log.warn("request refused", { route, reason: "not authenticated" });
      const challenge = { "WWW-Authenticate": 'Bearer realm="fettle"' };
      throw new HttpProblem(401, "Not authenticated", "A valid bearer token is needed.", challenge);
    }
    if (!principal.permissions.has(permission)) {
      log.warn("request refused", { route, reason: "not permitted", principal: principal.name });
      throw new HttpProblem(403, "Not permitted", `The permission ${permission} is needed.`);
    }
    next();
  };
}
