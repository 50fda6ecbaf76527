import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Archive, AuditSource, ExportResult, SourceStatus } from "./types.ts";

export interface ExportMetrics {
  /** A run ended well, also one that found nothing new. */
  succeeded(result: ExportResult, seconds: number, at: Date): void;
  failed(seconds: number): void;
}

/** Times and ages are read from the record at each scrape, so a restart or another replica does not set them back. */
export function createExportMetrics(
  registry: Registry,
  source: Pick<AuditSource, "status">,
): ExportMetrics {
  const registers = [registry];
  let lastRunOk = 0;
  // Each gauge asks for itself, because the library collects them side by side. A scrape must not fail with the database:
  // the last known values stay then.
  const gauge = (name: string, help: string, valueOf: (status: SourceStatus) => number) => {
    const metric = new Gauge({
      name,
      help,
      registers,
      collect: async () => {
        const status = await source.status().catch(() => undefined);
        if (status !== undefined) metric.set(valueOf(status));
      },
    });
  };
  gauge(
    "audit_export_last_success_timestamp_seconds",
    "When the last run ended well (nothing new counts)",
    ({ lastDoneAt }) => Math.max(lastRunOk, (lastDoneAt?.getTime() ?? 0) / 1000),
  );
  gauge(
    "audit_export_horizon_age_seconds",
    "Age of the oldest audit row that an open transaction keeps from being exported",
    ({ horizonAgeSeconds }) => horizonAgeSeconds,
  );
  const counters = createCounters(registers);
  return {
    succeeded: (result, seconds, at) => {
      counters.duration.observe(seconds);
      counters.rows.inc(result.rows);
      for (const file of result.files) counters.bytes.inc(file.bytes);
      if (result.outcome !== "busy") lastRunOk = at.getTime() / 1000;
    },
    failed: (seconds) => {
      counters.duration.observe(seconds);
      counters.failures.inc();
    },
  };
}

/** When each recipient's key last opened an old file; the record is read at each scrape. */
export function createDrillMetric(registry: Registry, archive: Pick<Archive, "lastDrills">): void {
  const metric = new Gauge({
    name: "audit_decrypt_drill_last_success_timestamp_seconds",
    help: "When an earlier export was last fetched and opened with this recipient's key (fettle drill)",
    labelNames: ["recipient"],
    registers: [registry],
    collect: async () => {
      const drills = await archive.lastDrills().catch(() => []);
      for (const { recipient, at } of drills) metric.set({ recipient }, at.getTime() / 1000);
    },
  });
}

function createCounters(registers: Registry[]) {
  return {
    rows: new Counter({
      name: "audit_export_rows_total",
      help: "Audit rows in finished exports",
      registers,
    }),
    bytes: new Counter({
      name: "audit_export_bytes_total",
      help: "Bytes of finished export files",
      registers,
    }),
    failures: new Counter({
      name: "audit_export_failures_total",
      help: "Export runs that failed; the next one goes on where they stopped",
      registers,
    }),
    duration: new Histogram({
      name: "audit_export_duration_seconds",
      help: "Duration of export runs",
      buckets: [0.1, 0.5, 2, 10, 60, 300, 1800],
      registers,
    }),
  };
}
