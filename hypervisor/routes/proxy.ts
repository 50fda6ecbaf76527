import { z } from "zod";
import type { Log } from "../../lib/log.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { followTlsFiles } from "../../lib/tls-options.ts";
import { appendDeed } from "../frame/record.ts";
import type { Router } from "../frame/router.ts";
import type { Watch } from "../live/watch.ts";
import { addressBelow } from "../proxy/address.ts";
import { forward, type Exchange, type Upstream } from "../proxy/forward.ts";
import { tunnel } from "../proxy/tunnel.ts";
import type { ProxyTarget } from "../proxy/types.ts";

export interface ProxyDeps {
  readonly proxyTargets: readonly ProxyTarget[];
  readonly database: Queryable;
  readonly watch: Watch;
  readonly log: Log;
  /** How long a server may say nothing. */
  readonly silenceMs?: number;
}

/** Requests that are under way to all targets; each costs two connections. */
const AT_ONCE_MAX = 128;

/** `/grafana/*`, `/prometheus/*`, `/loki/*`: to the configured servers, for those who may see them. */
export function addProxyRoutes(router: Router, deps: ProxyDeps): void {
  let atOnce = 0;
  for (const target of deps.proxyTargets) {
    const { name, prefix, permission } = target;
    const upstream = upstreamOf(target, deps.log);
    const summary = `${name}, as it is`;
    router.raw({ prefix, permission, summary }, async (caller, request, response) => {
      if (atOnce >= AT_ONCE_MAX)
        throw new HttpProblem(503, "Temporarily unavailable", "Too many requests are under way.", {
          "Retry-After": "2",
        });
      atOnce += 1;
      try {
        await pass(upstream(), { caller, request, response }, deps);
      } finally {
        atOnce -= 1;
      }
    });
    router.webSocket(
      {
        path: `${prefix}/*path`,
        permission,
        cookies: true,
        summary: `${name}'s WebSockets`,
        params: z.object({ path: z.string() }),
        query: z.record(z.string(), z.string()),
      },
      async (call, upgrade) => {
        const address = addressBelow(prefix, upgrade.request.url ?? "");
        if (target.judge("GET", address.meant) !== "read") throw notPassed(name);
        await tunnel(upstream(), { call, upgrade, address }, deps);
      },
    );
  }
}

function upstreamOf(target: ProxyTarget, log: Log): () => Upstream {
  const { access, name } = target;
  if (access === undefined) {
    return () => {
      throw new HttpProblem(503, "Not configured", `${name} is not configured here.`);
    };
  }
  const upstream = { ...target, access, tls: followTlsFiles(access.tls, { owner: name, log }) };
  return () => upstream;
}

async function pass(target: Upstream, exchange: Exchange, deps: ProxyDeps): Promise<void> {
  const { caller, request, response } = exchange;
  const { meant } = addressBelow(target.prefix, request.url);
  const verdict = target.judge(request.method, meant);
  if (verdict === "no") throw notPassed(target.name);
  if (verdict === "read") {
    await forward(target, exchange, deps);
    return;
  }
  await caller.require("system:write", `${target.name}${meant}`);
  const record = async (result: "Started" | "Success" | "Failure"): Promise<void> =>
    appendDeed(deps.database, {
      actor: caller.principal.name,
      action: "ConfigurationChanged",
      resource: "system",
      id: target.name,
      result,
      summary: `${request.method} ${target.prefix}${meant}`,
      ip: caller.ip,
      organization: caller.principal.organization,
      token: caller.principal.token,
    });
  await record("Started");
  let done = false;
  try {
    await forward(target, exchange, deps);
    done = response.statusCode < 400;
  } finally {
    await record(done ? "Success" : "Failure");
  }
}

function notPassed(name: string): HttpProblem {
  const detail = `This address of ${name} is not passed on: it is more than a question.`;
  return new HttpProblem(403, "Not permitted", detail);
}
