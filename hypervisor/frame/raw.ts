import type { Request, Response } from "express";
import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { Principal } from "../types.ts";
import { callerOf, type Caller } from "./caller.ts";
import { isOfOwnPage } from "./cookies.ts";
import { credentialOf, type Attempt, type Credential } from "./guard.ts";
import type { RouterDeps } from "./deps.ts";
import type { AnyRoute, Requirement } from "./route.ts";

/** Everything below a prefix, with any method: who may is decided here, by a token or a browser's cookie, and all the rest by the handler. */
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
  return async (request: Request, response: Response): Promise<void> => {
    const { prefix } = definition;
    const attempt: Attempt = {
      route: `${request.method} ${prefix}`,
      resourceId: request.path,
      mutation: undefined,
      ip: request.ip ?? "unknown",
    };
    const credential = credentialOf(request, { cookies: true });
    const known = await admit(definition, { request, response, deps, attempt, credential }).catch(
      (error: unknown) => {
        if (!isStranger(error) || credential?.by === "bearer" || !isLink(request)) throw error;
        return undefined;
      },
    );
    if (known === undefined) {
      response.redirect(303, signInFor(request.url));
      return;
    }
    const caller = callerOf(request, { guard: deps.guard, principal: known, attempt });
    await handler(caller, request, response).catch(async (error: unknown) => {
      await deps.guard.note(known, attempt, error);
      throw error;
    });
  };
}

/** Where people sign in whose browser has no session. */
const SIGN_IN = "/sign-in";
/** Of an address that is come back to; encoded it has to fit into a request's first line again. */
export const NEXT_CHARACTERS_MAX = 4_000;

function signInFor(next: string): string {
  if (next.length > NEXT_CHARACTERS_MAX) return SIGN_IN;
  return `${SIGN_IN}?${new URLSearchParams({ next }).toString()}`;
}

interface Asked {
  readonly request: Request;
  readonly response: Response;
  readonly deps: RouterDeps;
  readonly attempt: Attempt;
  readonly credential: Credential | undefined;
}

async function admit(
  { permission }: RawDefinition,
  { request, response, deps: { guard, limit }, attempt, credential }: Asked,
): Promise<Principal> {
  const known = await guard
    .identify(credential, permission, attempt)
    .catch(async (error: unknown) => {
      await limit.request(request, response, undefined); // a 401 too often becomes a 429
      throw error;
    });
  await limit.request(request, response, known);
  if (credential?.by === "cookie" && !isOfOwnPage(request.method, request.headers))
    await guard.refuse(known, attempt, "another site's page asked: use ours, or a bearer token");
  await guard.permit(known, permission, attempt);
  return known;
}

function isStranger(error: unknown): boolean {
  return error instanceof HttpProblem && error.status === 401;
}

/** Somebody follows a link, or types an address: no program, and no part of a page. */
function isLink({ method, headers }: Request): boolean {
  const { accept = "", "sec-fetch-mode": mode = "navigate" } = headers;
  return method === "GET" && mode === "navigate" && accept.includes("text/html");
}
