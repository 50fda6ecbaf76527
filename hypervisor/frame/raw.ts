import type { Request, Response } from "express";
import { z } from "zod";
import { callerOf, type Caller } from "./caller.ts";
import { bearerOf, type Attempt } from "./guard.ts";
import type { RouterDeps } from "./deps.ts";
import type { AnyRoute, Requirement } from "./route.ts";

/** Everything below a prefix, with any method: who may is decided here, and all the rest by the handler. */
export interface RawDefinition {
  /** `/grafana`. */
  readonly prefix: string;
  readonly permission: Requirement;
  readonly summary: string;
}

/** The request was neither read nor checked: its body and its path are as they came. */
export type RawHandler = (caller: Caller, request: Request, response: Response) => Promise<void>;

/** Express' form of the prefix and whatever is below it. */
export function rawPath({ prefix }: RawDefinition): string {
  return `${prefix}{/*path}`;
}

/** As the API's description shows it: its most common method. */
export function shownRaw({ prefix, permission, summary }: RawDefinition): AnyRoute {
  const params = z.strictObject({ path: z.string() });
  const answers = { 200: { media: "*/*" } };
  return { method: "get", path: `${prefix}/*path`, permission, summary, params, answers };
}

export function serveRaw(definition: RawDefinition, handler: RawHandler, deps: RouterDeps) {
  const { prefix, permission } = definition;
  return async (request: Request, response: Response): Promise<void> => {
    const attempt: Attempt = {
      route: `${request.method} ${prefix}`,
      resourceId: request.path,
      mutation: undefined,
      ip: request.ip ?? "unknown",
    };
    const { guard, limit } = deps;
    const known = await guard
      .identify(bearerOf(request), permission, attempt)
      .catch(async (error: unknown) => {
        await limit.request(request, response, undefined); // a 401 too often becomes a 429
        throw error;
      });
    await limit.request(request, response, known);
    await guard.permit(known, permission, attempt);
    await handler(callerOf(request, { guard, principal: known, attempt }), request, response);
  };
}
