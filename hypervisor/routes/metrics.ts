import type { Registry } from "prom-client";
import type { Router } from "../permissions.ts";

/** `GET /metrics/json`: what /metrics says, for programs that do not speak its text format. */
export function addMetricsRoutes(router: Router, registry: Registry): void {
  router.route("get", "/metrics/json", async (_request, response) => {
    response.json({ metrics: await registry.getMetricsAsJSON() });
  });
}
