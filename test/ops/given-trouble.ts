import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Counter, Gauge, Registry } from "prom-client";
import { createDetectorMetrics } from "../../detector/metrics.ts";
import { createExportMetrics } from "../../exporter/metrics.ts";
import { createHttpMetrics, createRegistry } from "../../lib/metrics.ts";
import { createRunbooksMetrics } from "../../runbooks/metrics.ts";
import { createNotifyMetrics } from "../../runbooks/notify/metrics.ts";

/** Services whose metrics say that all is well, or that everything is wrong at once. */
export interface Trouble {
  /** host:port; each service's metrics are at /<service>. */
  readonly target: string;
  /** Where the hypervisor is discovered: nowhere, while there is trouble. */
  readonly discoveryUrl: string;
  readonly begin: () => void;
  readonly end: () => void;
  readonly stop: () => Promise<void>;
}

const DAY_SECONDS = 86_400;
const TICK_MS = 300;

type Tick = (isTrouble: boolean) => void;

/** The services' own registries where they can be had, and gauges of the same names for the rest. */
export async function startTrouble(): Promise<Trouble> {
  let isTrouble = false;
  const sources = [detector(), runbooks(), exporter(() => isTrouble), surroundings()];
  const registries = new Map(sources.map(({ name, registry }) => [name, registry]));
  registries.set("backend", new Registry()); // only answers, or does not
  const server = createServer((request, response) => {
    const name = (request.url ?? "").slice(1);
    if (name === "targets") {
      response.setHeader("content-type", "application/json");
      const targets = isTrouble ? [] : [{ targets: [request.headers.host], labels: {} }];
      return response.end(JSON.stringify(targets));
    }
    const registry = name === "backend" && isTrouble ? undefined : registries.get(name);
    if (registry === undefined) return response.writeHead(500).end();
    return void registry.metrics().then((text) => {
      response.setHeader("content-type", registry.contentType);
      response.end(text);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const timer = setInterval(() => {
    for (const { tick } of sources) tick(isTrouble);
  }, TICK_MS);
  return {
    target,
    discoveryUrl: `http://${target}/targets`,
    begin: () => (isTrouble = true),
    end: () => (isTrouble = false),
    stop: async () => {
      clearInterval(timer);
      await close(server);
    },
  };
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
}

interface Source {
  readonly name: string;
  readonly registry: Registry;
  readonly tick: Tick;
}

function detector(): Source {
  const registry = createRegistry("detector");
  const metrics = createDetectorMetrics(registry);
  const { gauge } = gauges(registry);
  const [current, info] = ["aiops_anomaly_current", "aiops_anomaly_info"].map((name) =>
    registry.getSingleMetric(name),
  );
  expectThere(current, info);
  // The detector reads the first from its series when it is asked; here it is a gauge of the same name.
  registry.removeSingleMetric("aiops_anomaly_current");
  const open = gauge("aiops_anomaly_current", ["metric", "series"]);
  return {
    name: "detector",
    registry,
    tick: (isTrouble) => {
      open.set({ metric: "p99", series: "0123456789ab" }, isTrouble ? 1 : 0);
      const anomaly = { metric: "p99", series: "0123456789ab", reason: "level_shift" };
      if (isTrouble) (info as Gauge).set({ ...anomaly, namespace: "shop", app: "web" }, 1);
      metrics.groupOwned("p99", !isTrouble);
      if (!isTrouble) return;
      metrics.queryFailed("p99", "unavailable");
      metrics.seriesRefused("p99", 1);
      metrics.delivery("slack", "gave_up");
      metrics.writeDropped();
      metrics.retrained("failed");
    },
  };
}

function expectThere(...metrics: readonly unknown[]): void {
  if (metrics.includes(undefined))
    throw new Error("the detector has lost a metric of the contract");
}

function runbooks(): Source {
  const registry = createRegistry("runbooks");
  const metrics = createRunbooksMetrics(registry);
  const notify = createNotifyMetrics(registry);
  const http = createHttpMetrics(registry);
  const { gauge, counter } = gauges(registry);
  const writable = gauge("runbooks_database_writable");
  const read = gauge("runbooks_policy_read_timestamp_seconds");
  const notRead = counter("runbooks_policy_read_failed_total");
  const notLoaded = counter("runbooks_reload_failed_total");
  const skew = gauge("runbooks_clock_skew_seconds");
  const pending = gauge("runbooks_diagnostics_pending");
  const problems = gauge("runbooks_audit_problems");
  const verified = gauge("runbooks_audit_verified_timestamp_seconds");
  return {
    name: "runbooks",
    registry,
    tick: (isTrouble) => {
      writable.set(isTrouble ? 0 : 1);
      metrics.inboxWaiting(isTrouble ? 45_000 : 0);
      read.set(nowSeconds() - (isTrouble ? 400 : 1));
      skew.set(isTrouble ? -45 : 0.1);
      notify.oldest(new Map([["slack", isTrouble ? 400 : 0]]));
      pending.set(isTrouble ? 2 : 0);
      problems.set(isTrouble ? 1 : 0);
      verified.set(nowSeconds() - (isTrouble ? 8_000 : 60));
      http.observe("POST", "/alertmanager", isTrouble ? 503 : 202, 0.01);
      if (!isTrouble) return;
      metrics.runMoved("failed");
      metrics.connectionRefused();
      notRead.inc();
      notLoaded.inc();
    },
  };
}

function exporter(hasTrouble: () => boolean): Source {
  const registry = createRegistry("exporter");
  const metrics = createExportMetrics(registry, {
    status: async () => ({
      lastDoneAt: new Date(Date.now() - (hasTrouble() ? 3 * DAY_SECONDS : 60) * 1000),
      hasUnfinished: false,
      horizonAgeSeconds: hasTrouble() ? 2 * DAY_SECONDS : 0,
    }),
  });
  const { gauge } = gauges(registry);
  const drill = gauge("audit_decrypt_drill_last_success_timestamp_seconds", ["recipient"]);
  return {
    name: "exporter",
    registry,
    tick: (isTrouble) => {
      drill.set({ recipient: "local" }, nowSeconds() - (isTrouble ? 3 * DAY_SECONDS : 60));
      if (isTrouble) metrics.failed(1);
    },
  };
}

/** What others measure: the hypervisor's drill, your application, Kubecost, Falco, Prometheus and Alertmanager themselves. */
function surroundings(): Source {
  const registry = new Registry();
  const { gauge, counter } = gauges(registry);
  const drill = gauge("last_successful_drill_timestamp_seconds");
  const backup = gauge("kube_cronjob_status_last_successful_time", ["namespace", "cronjob"]);
  const requests = counter("http_requests_total", ["namespace", "app", "status"]);
  const node = gauge("node_total_hourly_cost", ["node"]);
  const cpu = gauge("container_cpu_allocation", ["namespace", "pod", "container", "node"]);
  const memory = gauge("container_memory_allocation_bytes", [
    "namespace",
    "pod",
    "container",
    "node",
  ]);
  const cpuPrice = gauge("node_cpu_hourly_cost", ["node"]);
  const memoryPrice = gauge("node_ram_hourly_cost", ["node"]);
  const falco = counter("falcosecurity_falcosidekick_falco_events_total", ["rule", "priority"]);
  const notDelivered = counter("alertmanager_notifications_failed_total", ["integration"]);
  const notEvaluated = counter("prometheus_rule_evaluation_failures_total", ["rule_group"]);
  return {
    name: "surroundings",
    registry,
    tick: (isTrouble) => {
      drill.set(nowSeconds() - (isTrouble ? 3 * DAY_SECONDS : 60));
      backup.set(
        { namespace: "runbooks", cronjob: "backup" },
        nowSeconds() - (isTrouble ? 2 * DAY_SECONDS : 60),
      );
      requests.inc({ namespace: "shop", app: "web", status: isTrouble ? "500" : "200" }, 10);
      node.set({ node: "n" }, isTrouble ? 5 : 1);
      const container = { namespace: "default", pod: "p", container: "c", node: "n" };
      cpu.set(container, isTrouble ? 40 : 1);
      memory.set(container, 2 ** 30);
      cpuPrice.set({ node: "n" }, 0.03);
      memoryPrice.set({ node: "n" }, 0.005);
      if (!isTrouble) return;
      falco.inc({ rule: "shell in a pod", priority: "Critical" });
      notDelivered.inc({ integration: "webhook" });
      notEvaluated.inc({ rule_group: "x" });
    },
  };
}

function gauges(registry: Registry) {
  const of = (name: string, labelNames: readonly string[] = []) => ({
    name,
    help: name,
    labelNames,
    registers: [registry],
  });
  return {
    gauge: (name: string, labels?: readonly string[]) => new Gauge(of(name, labels)),
    counter: (name: string, labels?: readonly string[]) => new Counter(of(name, labels)),
  };
}

function nowSeconds(): number {
  return Date.now() / 1000;
}
