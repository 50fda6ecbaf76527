import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Counter, Gauge, Registry } from "prom-client";

/** An application, other people's programs (made up) and service discovery: all is well, or everything is wrong at once. */
export interface Trouble {
  /** host:port; the application's metrics are at /backend, the others' at /others. */
  readonly target: string;
  /** An address that lists this target, while there is no trouble. */
  readonly discoveryOf: (target: string) => string;
  /** One that lists what `watcher` is told, once it is told. */
  readonly discoveryOfWatcher: string;
  readonly watcherIs: (target: string) => void;
  /** What the queue was in the last minutes, for a detector that has to know it. */
  readonly history: string;
  readonly begin: () => void;
  readonly end: () => void;
  readonly stop: () => Promise<void>;
}

/** A rule of a user's own, whose join ends to be one-to-one. */
export const USERS_RULE = `groups:
  - name: a-users-own
    rules:
      - record: shop:orders_per_queue
        expr: max(shop_orders) / on () shop_queue_length
`;

const DAY_SECONDS = 86_400;
const QUEUE_PAST_SECONDS = 120;
const QUEUE_LABELS = { namespace: "shop", app: "web" };
const SHARDS = { well: 2, many: 9 };

export async function startTrouble(): Promise<Trouble> {
  let isTrouble = false;
  let watcher: string | undefined;
  const sources = new Map([
    ["backend", backend()],
    ["others", others()],
  ]);
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    if (url.pathname === "/discovery") {
      const asked = url.searchParams.get("target");
      const found = asked === null ? watcher : isTrouble ? undefined : asked;
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify(found === undefined ? [] : [{ targets: [found] }]));
    }
    const source = sources.get(url.pathname.slice(1));
    if (source === undefined) return response.writeHead(404).end();
    source.tick(isTrouble);
    return void source.registry.metrics().then((text) => {
      response.setHeader("content-type", source.registry.contentType);
      response.end(text);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    target,
    discoveryOfWatcher: `http://${target}/discovery`,
    watcherIs: (address) => (watcher = address),
    discoveryOf: (found) => `http://${target}/discovery?target=${found}`,
    history: queueHistory(target),
    begin: () => (isTrouble = true),
    end: () => (isTrouble = false),
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

interface Source {
  readonly registry: Registry;
  /** Called before each scrape. */
  readonly tick: (isTrouble: boolean) => void;
}

/** The application: a queue that is not measured any more, and too many shards. */
function backend(): Source {
  const registry = new Registry();
  const { gauge } = gauges(registry);
  const queue = gauge("shop_queue_length", ["namespace", "app", "of"]);
  const orders = gauge("shop_orders");
  const shards = gauge("shop_shard_size", ["shard"]);
  let scrapes = 0;
  return {
    registry,
    tick: (isTrouble) => {
      scrapes += 1;
      for (const one of [queue, shards]) one.reset();
      // Two queues in place of one: the user's join fails, and the one that was watched is absent.
      for (const of of isTrouble ? ["left", "right"] : [""])
        queue.set({ ...QUEUE_LABELS, of }, 5 + (scrapes % 2));
      for (let shard = 0; shard < (isTrouble ? SHARDS.many : SHARDS.well); shard += 1)
        shards.set({ shard: String(shard) }, 1);
      orders.set(7);
    },
  };
}

function queueHistory(target: string): string {
  const now = Math.floor(Date.now() / 1000);
  const labels = `app="web",instance="${target}",job="backend",namespace="shop"`;
  const samples = Array.from({ length: QUEUE_PAST_SECONDS }, (_, back) => {
    const at = now - QUEUE_PAST_SECONDS + back;
    return `shop_queue_length{${labels}} ${5 + (at % 2)} ${at}`;
  });
  return ["# TYPE shop_queue_length gauge", ...samples, "# EOF", ""].join("\n");
}

/** What cannot be had here: your application's requests, Kubecost, Falco, kube-state-metrics. */
function others(): Source {
  const registry = new Registry();
  const { gauge, counter } = gauges(registry);
  const backup = gauge("kube_cronjob_status_last_successful_time", ["namespace", "cronjob"]);
  const requests = counter("http_requests_total", ["namespace", "app", "status"]);
  const node = gauge("node_total_hourly_cost", ["node"]);
  const ofContainer = ["namespace", "pod", "container", "node"];
  const cpu = gauge("container_cpu_allocation", ofContainer);
  const memory = gauge("container_memory_allocation_bytes", ofContainer);
  const cpuPrice = gauge("node_cpu_hourly_cost", ["node"]);
  const memoryPrice = gauge("node_ram_hourly_cost", ["node"]);
  const falco = counter("falcosecurity_falcosidekick_falco_events_total", ["rule", "priority"]);
  return {
    registry,
    tick: (isTrouble) => {
      backup.set(
        { namespace: "runbooks", cronjob: "backup" },
        Date.now() / 1000 - (isTrouble ? 2 * DAY_SECONDS : 60),
      );
      requests.inc({ namespace: "shop", app: "web", status: isTrouble ? "500" : "200" }, 10);
      node.set({ node: "n" }, isTrouble ? 5 : 1);
      const container = { namespace: "default", pod: "p", container: "c", node: "n" };
      cpu.set(container, isTrouble ? 40 : 1);
      memory.set(container, 2 ** 30);
      cpuPrice.set({ node: "n" }, 0.03);
      memoryPrice.set({ node: "n" }, 0.005);
      if (isTrouble) falco.inc({ rule: "shell in a pod", priority: "Critical" });
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
