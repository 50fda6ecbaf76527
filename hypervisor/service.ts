import { systemClock } from "../lib/clock.ts";
import { listen } from "../lib/http.ts";
import { buildService, type RunningService } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { createRegistry } from "../lib/metrics.ts";
import { openDatabase } from "../lib/postgres.ts";
import { databaseReadiness } from "../lib/readiness.ts";
import { kubernetesEvents } from "./adapters/kubernetes-events.ts";
import { openVault } from "./adapters/open-vault.ts";
import { openObserving } from "./adapters/open-observing.ts";
import { postgresAuditLog } from "./adapters/postgres-audit-log.ts";
import { buildHypervisorApp } from "./app.ts";
import { createBackendMetrics } from "./backend-metrics.ts";
import { withBackend } from "./backend-readiness.ts";
import { backendAccess } from "./config-backend.ts";
import type { HypervisorConfig } from "./config.ts";
import { capOf } from "./frame/connections.ts";
import { startRecorder } from "./events/record-events.ts";
import { healthOf } from "./health.ts";
import { createHypervisorMetrics } from "./metrics.ts";
import { openBackend } from "./open-backend.ts";
import { openExports } from "./open-exports.ts";
import { openOperations } from "./open-operations.ts";
import { openPeople } from "./open-people.ts";
import { openRecordings } from "./open-recordings.ts";

/** Most of them may be WebSockets (live/watch.ts has their limit). */
const CONNECTIONS_MAX = 3_000;

/** To whoever starts the service; never to the log. */
const announce = (text: string): void => {
  process.stderr.write(text);
};

/**
 * Serves the API over plain HTTP: TLS is the ingress's business, as for all services here, which is why the default address
 * is loopback.
 */
export async function startHypervisor(config: HypervisorConfig, log: Log): Promise<RunningService> {
  return buildService(log, async (stack) => {
    const database = openDatabase(
      { url: config.databaseUrl.reveal(), applicationName: "fettle-hypervisor" },
      log,
    );
    stack.add("database", async () => database.close());
    const registry = createRegistry("hypervisor");
    createHypervisorMetrics(registry, config.dataPath);
    const backend = await openBackend(backendAccess(config), log);
    stack.add("backend", async () => backend.close());
    createBackendMetrics(registry, backend);
    const { eventTtlSeconds: ttlSeconds, eventsNamespace, kubeconfig } = config;
    const mirror =
      eventsNamespace === undefined ? undefined : kubernetesEvents(eventsNamespace, kubeconfig);
    const events = startRecorder({
      database,
      mirror,
      clock: systemClock,
      log,
      registry,
      ttlSeconds,
    });
    stack.add("events", async () => events.stop());
    const clock = systemClock;
    const vault = openVault(config, log);
    openRecordings(config, { database, clock, log, stack });
    openExports(config, { database, vault, clock, log, stack });
    const observing = openObserving(config, { database, clock, log, registry, stack });
    const needed = async () => withBackend(await databaseReadiness(database), backend);
    const { app, router, trustsProxy } = buildHypervisorApp({
      backend,
      log,
      registry,
      readiness: healthOf({ needed, probes: observing.probes, clock }),
      clock,
      observing,
      database,
      vault,
      ...openOperations(config, { database, backend, clock, log, stack, events, vault, registry }),
      ...openPeople(config, { database, clock, log, stack, announce, registry }),
      events,
      eventTtlSeconds: config.eventTtlSeconds,
      corsOrigins: config.corsOrigins,
      trustedProxies: config.trustedProxies,
      requestsPerMinute: config.requestsPerMinute,
      auditLog: postgresAuditLog(database),
    });
    const { upgrade } = router.sockets;
    const cap = capOf(trustsProxy, registry);
    const server = await listen(app, { ...config, upgrade, cap, connectionsMax: CONNECTIONS_MAX });
    stack.add("http server", async () => server.stop());
    stack.add("live connections", async () => observing.watch.stop());
    return server.url;
  });
}
