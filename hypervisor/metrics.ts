import type { StatsFs } from "node:fs";
import { statfs } from "node:fs/promises";
import { availableParallelism, freemem, loadavg, totalmem } from "node:os";
import { Counter, Gauge, type Registry } from "prom-client";

const PREFIX = "arm_hypervisor_";

/** The host's metrics, measured at each scrape. Containers and bridges come with the backend that has them. */
export function createHypervisorMetrics(registry: Registry, dataPath: string): void {
  const gauge = (name: string, help: string, measure: () => number) => {
    const metric = new Gauge({
      name: PREFIX + name,
      help,
      registers: [registry],
      collect: () => {
        metric.set(measure());
      },
    });
  };
  gauge("uptime_seconds", "Time since the service started", () => process.uptime());
  gauge("system_load_1min", "Load average over 1 minute", () => loadavg()[0] ?? 0);
  gauge("system_load_5min", "Load average over 5 minutes", () => loadavg()[1] ?? 0);
  gauge("system_load_15min", "Load average over 15 minutes", () => loadavg()[2] ?? 0);
  gauge("cpu_count", "CPUs that this process may use", availableParallelism);
  gauge("memory_total_bytes", "Memory of the host", totalmem);
  gauge("memory_available_bytes", "Memory that programs can still get", freemem);
  gauge("memory_used_bytes", "Memory in use", () => totalmem() - freemem());
  addDiskGauges(registry, dataPath);
  addHttpCounters(registry);
}

/** A disk that cannot be measured leaves no numbers behind, since the last ones would look true. */
function addDiskGauges(registry: Registry, dataPath: string): void {
  const look = sharedLook(dataPath, () => {
    errors.inc();
  });
  const gauge = (name: string, help: string, bytesOf: (disk: StatsFs) => number) => {
    const metric = new Gauge({
      name: PREFIX + name,
      help,
      registers: [registry],
      collect: async () => {
        const disk = await look();
        if (disk === undefined) metric.remove();
        else metric.set(bytesOf(disk));
      },
    });
  };
  const errors = new Counter({
    name: `${PREFIX}disk_errors_total`,
    help: "Scrapes at which the file system of the data path could not be measured",
    registers: [registry],
    collect: async () => {
      await look(); // so that the scrape that found it tells it
    },
  });
  gauge("disk_total_bytes", "File system of the data path", (disk) => disk.blocks * disk.bsize);
  gauge("disk_free_bytes", "Free for this user", (disk) => disk.bavail * disk.bsize);
  gauge("disk_used_bytes", "In use", (disk) => (disk.blocks - disk.bfree) * disk.bsize);
}

/** All metrics of one scrape share one look. */
function sharedLook(dataPath: string, failed: () => void): () => Promise<StatsFs | undefined> {
  let looking: Promise<StatsFs | undefined> | undefined;
  return async () =>
    (looking ??= statfs(dataPath)
      .catch(() => {
        failed();
        return undefined;
      })
      .finally(() => {
        looking = undefined;
      }));
}

/** The frame counts requests by route and status for all services; these are its sums under the names of the platform that it replaces. */
function addHttpCounters(registry: Registry): void {
  const sum = async (counts: (status: number) => boolean): Promise<number> => {
    const requests = await registry.getSingleMetric("fettle_http_requests_total")?.get();
    return (requests?.values ?? [])
      .filter(({ labels }) => counts(Number(labels["status"])))
      .reduce((total, { value }) => total + value, 0);
  };
  const counter = (name: string, help: string, counts: (status: number) => boolean) => {
    const metric = new Counter({
      name: PREFIX + name,
      help,
      registers: [registry],
      collect: async () => {
        const total = await sum(counts);
        metric.reset();
        metric.inc(total);
      },
    });
  };
  counter("http_requests_total", "HTTP requests answered", () => true);
  counter("http_errors_total", "HTTP requests answered with 4xx or 5xx", (status) => status >= 400);
}
