import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** What a shop with therapies, its cluster, its pipelines and its Falco would tell. */
export interface DemoMetrics {
  readonly registry: Registry;
  /** One second of its life. */
  readonly step: () => void;
}

const APP = { namespace: "shop", app: "web" } as const;
const NODE = { node: "node-1" } as const;

export function createDemoMetrics(): DemoMetrics {
  const registry = new Registry();
  const parts = [
    shop(registry),
    therapies(registry),
    cluster(registry),
    pipelines(registry),
    security(registry),
  ];
  let second = 0;
  return {
    registry,
    step: () => {
      second += 1;
      for (const part of parts) part(second);
    },
  };
}

type Part = (second: number) => void;

/** A wave of ten minutes, 0 to 1. */
function wave(second: number): number {
  return (1 + Math.sin((second * Math.PI) / 300)) / 2;
}

function shop(registry: Registry): Part {
  const { counter } = makers(registry);
  const requests = counter("http_requests_total", ["namespace", "app", "status"]);
  const duration = new Histogram({
    name: "http_request_duration_seconds",
    help: "demonstration",
    labelNames: ["namespace", "app"],
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
  return (second) => {
    const count = 20 + Math.round(20 * wave(second));
    requests.inc({ ...APP, status: "200" }, count);
    if (second % 10 === 0) requests.inc({ ...APP, status: "500" });
    for (let one = 0; one < count; one += 1) duration.observe(APP, 0.02 + (0.4 * one) / count);
  };
}

function therapies(registry: Registry): Part {
  const { counter, gauge } = makers(registry);
  const begun = counter("therapy_sessions_total", ["namespace", "app"]);
  const succeeded = counter("therapy_sessions_success_total", ["namespace", "app"]);
  const revenue = counter("therapy_revenue_total", ["namespace", "app"]);
  const users = gauge("therapy_active_users", ["namespace", "app"]);
  return (second) => {
    begun.inc(APP);
    if (second % 25 !== 0) succeeded.inc(APP);
    revenue.inc(APP, 40);
    users.set(APP, 100 + Math.round(50 * wave(second)));
  };
}

function cluster(registry: Registry): Part {
  const { gauge } = makers(registry);
  const node = gauge("node_total_hourly_cost", ["node"]);
  const cpuPrice = gauge("node_cpu_hourly_cost", ["node"]);
  const memoryPrice = gauge("node_ram_hourly_cost", ["node"]);
  const container = ["namespace", "pod", "container", "node"];
  const cpu = gauge("container_cpu_allocation", container);
  const memory = gauge("container_memory_allocation_bytes", container);
  return (second) => {
    node.set(NODE, 1);
    cpuPrice.set(NODE, 0.03);
    memoryPrice.set(NODE, 0.005);
    for (const namespace of ["shop", "default"]) {
      const labels = { namespace, pod: "web-7c9f4d5b6d-x2x4q", container: "web", ...NODE };
      cpu.set(labels, 4 + 20 * wave(second));
      memory.set(labels, 8 * 2 ** 30);
    }
  };
}

function pipelines(registry: Registry): Part {
  const { gauge } = makers(registry);
  const labels = ["repo", "workflow", "run_number", "status", "head_branch"];
  const state = gauge("github_workflow_run_status", labels);
  const duration = gauge("github_workflow_run_duration_ms", labels);
  return () => {
    for (const [index, workflow] of ["ci", "dr-drill", "export-audit"].entries()) {
      const run = {
        repo: "fettle",
        workflow,
        run_number: String(index + 1),
        status: "completed",
        head_branch: "main",
      };
      state.set(run, workflow === "dr-drill" ? 0 : 1);
      duration.set(run, 60_000 * (index + 1));
    }
  };
}

function security(registry: Registry): Part {
  const { counter, gauge } = makers(registry);
  const events = counter("falcosecurity_falcosidekick_falco_events_total", ["rule", "priority"]);
  const redis = gauge("redis_up");
  const memory = gauge("redis_memory_used_bytes");
  const clients = gauge("redis_connected_clients");
  const hits = counter("redis_keyspace_hits_total");
  const misses = counter("redis_keyspace_misses_total");
  const commands = counter("redis_commands_processed_total");
  return (second) => {
    if (second % 60 === 1) events.inc({ rule: "Read sensitive file", priority: "Warning" });
    redis.set(1);
    memory.set(1e6 * (1 + wave(second)));
    clients.set(3);
    hits.inc(9);
    misses.inc();
    commands.inc(12);
  };
}

function makers(registry: Registry) {
  const of = (name: string, labelNames: readonly string[] = []) => ({
    name,
    help: "demonstration",
    labelNames,
    registers: [registry],
  });
  return {
    gauge: (name: string, labels?: readonly string[]) => new Gauge(of(name, labels)),
    counter: (name: string, labels?: readonly string[]) => new Counter(of(name, labels)),
  };
}
