import { listen } from "../lib/http.ts";
import { buildService, type RunningService } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { createRegistry } from "../lib/metrics.ts";
import { openDatabase } from "../lib/postgres.ts";
import { databaseReadiness } from "../lib/readiness.ts";
import { postgresAuditLog } from "./adapters/postgres-audit-log.ts";
import { buildHypervisorApp } from "./app.ts";
import { tokenAuthenticator } from "./authenticate.ts";
import type { HypervisorConfig } from "./config.ts";
import { createHypervisorMetrics } from "./metrics.ts";

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
    if (config.apiToken === undefined) {
      log.warn("HYPERVISOR_API_TOKEN is not set: every protected route answers 401");
    }
    const registry = createRegistry("hypervisor");
    createHypervisorMetrics(registry, config.dataPath);
    const app = buildHypervisorApp({
      log,
      registry,
      readiness: async () => databaseReadiness(database),
      authenticator: tokenAuthenticator(config.apiToken),
      auditLog: postgresAuditLog(database),
    });
    const server = await listen(app, config);
    stack.add("http server", async () => server.stop());
    return server.url;
  });
}
