import type { Request, RequestHandler } from "express";
import type { Attempt, Guard } from "./guard.ts";

const METHODS = "GET, POST, PUT, PATCH, DELETE";
const HEADERS =
  "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Correlation-ID";
const EXPOSED =
  "ETag, Location, Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Correlation-ID";
const PREFLIGHT_SECONDS = "600";

export const FOREIGN_PAGE = "The page's origin is not in HYPERVISOR_CORS_ORIGINS.";

/** A page's origin may talk to us when it is our own or in the list. `null` (a sandbox, a file) is nobody's. */
export function originAllowed(
  origin: string | undefined,
  host: string | undefined,
  listed: readonly string[],
): boolean {
  if (origin === undefined) return true; // not a browser
  if (origin === "null") return false;
  if (listed.includes(origin)) return true;
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host;
}

/** CORS by a list of exact origins. A foreign page gets no headers, and may not even ask beforehand. */
export function corsByList(
  listed: readonly string[],
  guard: Pick<Guard, "refuseStranger">,
): RequestHandler {
  return async (request, response, next) => {
    const origin = request.get("origin");
    response.vary("Origin");
    if (origin === undefined) {
      next();
      return;
    }
    const allowed = originAllowed(origin, request.get("host"), listed);
    if (allowed) {
      response.set({
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED,
      });
    }
    const preflight =
      request.method === "OPTIONS" && request.get("access-control-request-method") !== undefined;
    if (!allowed && (preflight || !["GET", "HEAD"].includes(request.method)))
      await guard.refuseStranger(attemptOf(request), FOREIGN_PAGE);
    if (!preflight) {
      next();
      return;
    }
    response
      .status(204)
      .set({
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": HEADERS,
        "Access-Control-Max-Age": PREFLIGHT_SECONDS,
      })
      .end();
  };
}

function attemptOf({ method, path, ip = "unknown" }: Request): Attempt {
  return { route: `${method} ${path}`, resourceId: "", mutation: undefined, ip };
}
