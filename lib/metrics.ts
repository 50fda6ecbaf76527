import { collectDefaultMetrics, Counter, Histogram, Registry } from "prom-client";

/** A registry of its own for each service, so that several can run in one process (and in tests). */
export function createRegistry(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  return registry;
}

export interface HttpMetrics {
  observe(method: string, route: string, status: number, seconds: number): void;
}

const ofRegistries = new WeakMap<Registry, HttpMetrics>();

/** What every service counts about the requests that it answers. `route` is the pattern, never the path: bounded labels. */
export function createHttpMetrics(registry: Registry): HttpMetrics {
  const known = ofRegistries.get(registry);
  if (known !== undefined) return known; // refused upgrades are counted with the requests
  const requests = new Counter({
    name: "fettle_http_requests_total",
    help: "HTTP requests answered",
    labelNames: ["method", "route", "status"],
    registers: [registry],
  });
  const duration = new Histogram({
    name: "fettle_http_request_duration_seconds",
    help: "Time from the first byte of a request to the end of its answer",
    labelNames: ["method", "route"],
    buckets: [0.005, 0.025, 0.1, 0.25, 1, 5],
    registers: [registry],
  });
  const metrics: HttpMetrics = {
    observe: (method, route, status, seconds) => {
      requests.inc({ method, route, status: String(status) });
      duration.observe({ method, route }, seconds);
    },
  };
  ofRegistries.set(registry, metrics);
  return metrics;
}
