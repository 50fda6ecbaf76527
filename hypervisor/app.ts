import type { Express } from "express";
import type { Registry } from "prom-client";
import { buildApp, type Readiness } from "../lib/http.ts";
import type { Log } from "../lib/log.ts";
import { guardedRouter } from "./permissions.ts";
import { addAuditRoutes } from "./routes/audit.ts";
import { addMetricsRoutes } from "./routes/metrics.ts";
import type { AuditLog, Authenticator } from "./types.ts";

export interface HypervisorAppDeps {
  readonly log: Log;
  readonly registry: Registry;
  readonly readiness: () => Promise<Readiness>;
  readonly authenticator: Authenticator;
  readonly auditLog: AuditLog;
}

/** The API's routes, by noun, in the frame that all services share. */
export function buildHypervisorApp(deps: HypervisorAppDeps): Express {
  const { log, registry, readiness } = deps;
  return buildApp({ service: "hypervisor", log, registry, readiness }, (app) => {
    const router = guardedRouter(app, deps);
    addMetricsRoutes(router, registry);
    addAuditRoutes(router, deps.auditLog);
  });
}
