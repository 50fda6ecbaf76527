import type { Request, Response } from "express";
import { ipKeyGenerator, MemoryStore, rateLimit } from "express-rate-limit";
import { HttpProblem } from "../../lib/problem.ts";
import type { Principal } from "../types.ts";

const WINDOW_MS = 60_000;

/** Counts what callers ask for. */
export interface Limit {
  /** @throws HttpProblem 429 */
  request(request: Request, response: Response, principal: Principal | undefined): Promise<void>;
  /** A WebSocket, of the same allowance. @throws HttpProblem 429 */
  upgrade(ip: string, principal: Principal | undefined): Promise<void>;
}

/**
 * At most so many requests a minute for one token or person, and for one address of those whom nobody knows; every process
 * counts its own. The caller is counted when it is known: a made-up token buys no allowance of its own.
 */
export function limitRate(perMinute: number): Limit {
  const keys = new WeakMap<object, string>();
  const store = new MemoryStore();
  const tooMany = (after: string) =>
    new HttpProblem(429, "Too many requests", `${perMinute} requests a minute are allowed.`, {
      "Retry-After": after,
    });
  const limiter = rateLimit({
    windowMs: WINDOW_MS,
    limit: perMinute,
    store,
    standardHeaders: "draft-8",
    legacyHeaders: false,
    identifier: "api",
    keyGenerator: (request) => keys.get(request) ?? "unknown",
    handler: (_request, response, next) => {
      const after = response.getHeader("retry-after");
      next(tooMany(typeof after === "string" ? after : String(WINDOW_MS / 1000)));
    },
  });
  return {
    request: async (request, response, principal) => {
      keys.set(request, keyOf(request.ip, principal));
      await new Promise<void>((resolve, reject) => {
        void limiter(request, response, (error?: unknown) => {
          if (error instanceof Error) reject(error);
          else resolve();
        });
      });
    },
    upgrade: async (ip, principal) => {
      const { totalHits } = await store.increment(keyOf(ip, principal));
      if (totalHits > perMinute) throw tooMany(String(WINDOW_MS / 1000));
    },
  };
}

function keyOf(ip: string | undefined, principal: Principal | undefined): string {
  if (principal === undefined || principal.via === "nobody")
    return `ip:${ipKeyGenerator(ip ?? "::")}`;
  return `${principal.via}:${principal.token ?? principal.name}`;
}
