import { Gauge, type Registry } from "prom-client";
import type { Backend, Container } from "./backends/types.ts";

/** A scrape must answer in time even when the backend does not. */
const ASK_MS = 3_000;
/** All gauges of one scrape share one look. */
const FRESH_MS = 1_000;

interface Look {
  readonly containers: readonly Container[];
  readonly bridges: number;
}

/**
 * How many containers and bridges there are, asked at each scrape. A backend that does not answer leaves no numbers behind,
 * since the last ones would look true; `arm_hypervisor_backend_up` says it.
 */
export function createBackendMetrics(registry: Registry, backend: Backend): void {
  if (backend.name === "none") return;
  const look = sharedLook(backend);
  const gauge = (name: string, help: string, count: (look: Look) => number) => {
    const metric = new Gauge({
      name: `arm_hypervisor_${name}`,
      help,
      registers: [registry],
      collect: async () => {
        const seen = await look();
        if (seen === undefined) metric.remove();
        else metric.set(count(seen));
      },
    });
  };
  const withStatus = (status: Container["status"]) => (seen: Look) =>
    seen.containers.filter((each) => each.status === status).length;
  gauge("containers_total", "Containers of all projects", (seen) => seen.containers.length);
  gauge("containers_running", "Those that run", withStatus("running"));
  gauge("containers_stopped", "Those that do not", withStatus("stopped"));
  gauge("containers_paused", "Those that are paused", withStatus("paused"));
  gauge("bridges_total", "Network bridges that the backend knows", (seen) => seen.bridges);
  const up = new Gauge({
    name: "arm_hypervisor_backend_up",
    help: "1 while the backend answers",
    labelNames: ["backend"],
    registers: [registry],
    collect: async () => {
      up.set({ backend: backend.name }, (await look()) === undefined ? 0 : 1);
    },
  });
}

function sharedLook(backend: Backend): () => Promise<Look | undefined> {
  let last: { readonly atMs: number; readonly look: Promise<Look | undefined> } | undefined;
  return async () => {
    const now = performance.now();
    if (last === undefined || now - last.atMs > FRESH_MS) {
      last = { atMs: now, look: ask(backend).catch(() => undefined) };
    }
    return last.look;
  };
}

async function ask({ containers, network }: Backend): Promise<Look> {
  const call = { signal: AbortSignal.timeout(ASK_MS) };
  const [found, bridges] = await Promise.all([
    containers.list({}, call),
    network.bridges({}, call),
  ]);
  return { containers: found, bridges: bridges.length };
}
