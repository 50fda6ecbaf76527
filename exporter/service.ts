import { systemClock } from "../lib/clock.ts";
import { buildApp, listen, type Readiness } from "../lib/http.ts";
import { buildService, type RunningService } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { createRegistry } from "../lib/metrics.ts";
import { inSpan } from "../lib/tracing.ts";
import { openDestinations } from "./adapters/open-destinations.ts";
import { openSealing, openSigner } from "./adapters/open-sealing.ts";
import { openSource } from "./adapters/open-source.ts";
import type { ExporterConfig } from "./config.ts";
import { exportAudit, type ExportDeps } from "./export.ts";
import { createDrillMetric, createExportMetrics } from "./metrics.ts";
import { scheduleExports } from "./schedule.ts";
import type { AuditSource, ExportResult, Progress } from "./types.ts";
import { workFolderOf } from "./work-folder.ts";

export interface ExportOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const BYTES_PER_MEGABYTE = 1_000_000;

/** One export, as `fettle export` makes it. @throws what stopped it; the next run goes on from there */
export async function exportOnce(
  config: ExporterConfig,
  log: Log,
  options: ExportOptions = {},
): Promise<ExportResult> {
  const source = openSource(config, log);
  try {
    return await runExport(config, source.audit, log, options);
  } finally {
    await source.close();
  }
}

/** Exports by the clock, with /health, /ready and /metrics. Plain HTTP on loopback: there is nothing else to ask of it. */
export async function startExporter(config: ExporterConfig, log: Log): Promise<RunningService> {
  return buildService(log, async (stack) => {
    const source = openSource(config, log);
    stack.add("database", source.close);
    await openSealing(config, log); // keys that cannot be used stop the start, not the first night's export
    await openSigner(config);
    const registry = createRegistry("exporter");
    const metrics = createExportMetrics(registry, source.audit);
    if (source.archive !== undefined) createDrillMetric(registry, source.archive);
    const run = async (signal: AbortSignal): Promise<void> => {
      const start = performance.now();
      const seconds = () => (performance.now() - start) / 1000;
      try {
        const result = await runExport(config, source.audit, log, { signal });
        metrics.succeeded(result, seconds(), systemClock.now());
      } catch (error) {
        metrics.failed(seconds());
        throw error;
      }
    };
    const unfinished = await source.audit.status().then(
      (status) => status.hasUnfinished,
      () => false, // the database may come later; the schedule does not wait for it
    );
    const { cron, timeZone } = config;
    const schedule = scheduleExports(
      { cron, timeZone, immediately: unfinished },
      { run, clock: systemClock, log },
    );
    stack.add("schedule", async () => schedule.stop());
    const readiness = async () => readinessOf(source.audit);
    const app = buildApp({ service: "exporter", log, registry, readiness }, () => undefined);
    const server = await listen(app, config);
    stack.add("http server", async () => server.stop());
    return server.url;
  });
}

async function readinessOf(audit: AuditSource): Promise<Readiness> {
  try {
    const { lastDoneAt } = await audit.status();
    const detail = lastDoneAt === undefined ? "no export yet" : lastDoneAt.toISOString();
    return { ready: true, checks: { database: { ok: true }, last_export: { ok: true, detail } } };
  } catch {
    return { ready: false, checks: { database: { ok: false, detail: "does not answer" } } };
  }
}

async function runExport(
  config: ExporterConfig,
  source: AuditSource,
  log: Log,
  { onProgress = () => undefined, signal }: ExportOptions,
): Promise<ExportResult> {
  const deps: ExportDeps = {
    source,
    destinations: await openDestinations(config),
    sealing: await openSealing(config, log),
    signer: await openSigner(config),
    formula: config.csvFormula,
    partBytes: config.partMegabytes * BYTES_PER_MEGABYTE,
    workFolder: workFolderOf(config),
    clock: systemClock,
    log,
    onProgress,
    signal,
  };
  const result = await inSpan("export", {}, async () => exportAudit(deps));
  log.info("export ended", {
    outcome: result.outcome,
    export_id: result.exportId,
    rows: result.rows,
    resumed: result.resumed,
    receipts: result.receipts.map(({ destination, verifiedBy }) => `${destination}: ${verifiedBy}`),
  });
  return result;
}
