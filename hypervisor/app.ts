import type { Express } from "express";
import type { Registry } from "prom-client";
import type { Clock } from "../lib/clock.ts";
import { buildApp, type Readiness } from "../lib/http.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import type { TrustsProxy } from "./frame/client-address.ts";
import { createGuard } from "./frame/guard.ts";
import { limitRate } from "./frame/limits.ts";
import { refuseUnlisted } from "./frame/operational.ts";
import { corsByList } from "./frame/origins.ts";
import { createRouter, type Router } from "./frame/router.ts";
import type { SignInDeps } from "./auth/sign-in.ts";
import { answeringProblems } from "./backend-problems.ts";
import type { Backend } from "./backends/types.ts";
import { storedQuotas } from "./people/quota.ts";
import type { Operations } from "./operations/begin.ts";
import type { Follow } from "./operations/follow.ts";
import { addAuditRoutes } from "./routes/audit.ts";
import { addAuthRoutes } from "./routes/auth.ts";
import { addAuthzRoutes } from "./routes/authz.ts";
import { addLimitRoutes } from "./routes/change-limits.ts";
import { addClusterRoutes } from "./routes/cluster.ts";
import { addContainerRoutes } from "./routes/containers.ts";
import { addDocsRoutes } from "./routes/docs.ts";
import { addEventRoutes } from "./routes/events.ts";
import { addKeyRoutes } from "./routes/keys.ts";
import { addMetricsRoutes } from "./routes/metrics.ts";
import { addNetworkRoutes } from "./routes/network.ts";
import { addObservingRoutes, type ObservingDeps } from "./routes/observing.ts";
import { addOperationRoutes } from "./routes/operations.ts";
import { addProgressRoutes } from "./routes/progress.ts";
import { addOrganizationRoutes } from "./routes/organizations.ts";
import { addOwnRoutes } from "./routes/own.ts";
import { addReconcileRoute } from "./routes/reconcile.ts";
import { addRoleRoutes } from "./routes/roles.ts";
import { addScheduleRoutes } from "./routes/schedules.ts";
import type { Vault } from "./snapshots-export/types.ts";
import { addSignInRoutes } from "./routes/sign-in.ts";
import { addSnapshotExportRoutes } from "./routes/snapshot-exports.ts";
import { addSnapshotRoutes } from "./routes/snapshots.ts";
import { addStorageRoutes } from "./routes/storage.ts";
import { addTerminalRoutes } from "./routes/terminal.ts";
import { addTemplateRoutes } from "./routes/templates.ts";
import { addTokenRoutes } from "./routes/tokens.ts";
import { addUserRoutes } from "./routes/users.ts";
import { addVdcRoutes } from "./routes/vdcs.ts";
import type { AuditLog, Authenticator, EventSink } from "./types.ts";

export interface HypervisorAppDeps {
  readonly log: Log;
  readonly registry: Registry;
  readonly readiness: () => Promise<Readiness>;
  readonly clock: Clock;
  readonly database: Database;
  readonly authenticator: Authenticator;
  readonly signIn: SignInDeps;
  /** Whose accounts users may be. */
  readonly oidcIssuer: string | undefined;
  readonly auditLog: AuditLog;
  readonly events: EventSink;
  readonly eventTtlSeconds: number;
  /** What runs the containers. */
  readonly backend: Backend;
  readonly operations: Operations;
  readonly follow: Follow;
  readonly vault: Vault;
  readonly observing: ObservingDeps;
  /** Origins whose pages may use the API. */
  readonly corsOrigins: readonly string[];
  /** Addresses and CIDR blocks of our own proxies. */
  readonly trustedProxies: readonly string[];
  readonly requestsPerMinute: number;
}

export interface HypervisorApp {
  readonly app: Express;
  readonly router: Router;
  readonly trustsProxy: TrustsProxy;
}

/** The API's routes, by noun, in the frame that all services share. */
export function buildHypervisorApp(deps: HypervisorAppDeps): HypervisorApp {
  const { log, registry, readiness } = deps;
  let router: Router | undefined;
  const app = buildApp({ service: "hypervisor", log, registry, readiness }, (express) => {
    express.set("trust proxy", [...deps.trustedProxies]);
    const guard = createGuard(deps);
    express.use(corsByList(deps.corsOrigins, guard));
    router = createRouter(express, {
      guard,
      database: deps.database,
      origins: deps.corsOrigins,
      trustsProxy: express.get("trust proxy fn") as TrustsProxy,
      limit: limitRate(deps.requestsPerMinute),
      log,
      registry,
    });
    addNouns(router, deps);
    refuseUnlisted(express, router.routes);
  });
  if (router === undefined) throw new Error("the frame did not ask for routes");
  return { app, router, trustsProxy: app.get("trust proxy fn") as TrustsProxy };
}

function addNouns(router: Router, deps: HypervisorAppDeps): void {
  addMetricsRoutes(router, deps);
  addAuthRoutes(router, deps.signIn);
  addOwnRoutes(router, deps.signIn);
  addSignInRoutes(router, { ...deps.signIn, ...deps, places: placesOf(deps.observing) });
  addKeyRoutes(router, deps.signIn);
  const recent = { ...deps.signIn, clock: deps.clock };
  addUserRoutes(router, { ...recent, oidcIssuer: deps.oidcIssuer });
  addRoleRoutes(router, recent);
  addTokenRoutes(router, recent);
  addAuthzRoutes(router, deps);
  addOrganizationRoutes(router, deps);
  addVdcRoutes(router, deps);
  addBackendNouns(router, deps);
  addProgressRoutes(router, deps);
  addOperationRoutes(router, deps);
  addEventRoutes(router, deps);
  addAuditRoutes(router, deps.auditLog);
  addObservingRoutes(router, deps.observing);
  addDocsRoutes(router); // last: it describes what is there
}

/** What people sign in for by a page. */
function placesOf({ proxyTargets }: ObservingDeps) {
  return proxyTargets.filter(({ access }) => access !== undefined);
}

/** What the backend has. Its refusals are told as answers of the API. */
function addBackendNouns(router: Router, { database, events, clock, ...rest }: HypervisorAppDeps) {
  const backend = answeringProblems(rest.backend);
  const { operations, vault } = rest;
  const deps = {
    backend,
    quotas: storedQuotas(database, events),
    clock,
    operations,
    events,
    vault,
  };
  addReconcileRoute(router, { ...deps, database });
  addContainerRoutes(router, deps);
  addLimitRoutes(router, deps);
  addSnapshotRoutes(router, deps);
  addSnapshotExportRoutes(router, { database });
  addScheduleRoutes(router, deps);
  addTemplateRoutes(router, deps);
  addClusterRoutes(router, deps);
  addStorageRoutes(router, deps);
  addNetworkRoutes(router, deps);
  addTerminalRoutes(router, { ...rest.observing, backend });
}
