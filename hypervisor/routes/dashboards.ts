import { z } from "zod";
import type { Router } from "../frame/router.ts";
import type { DashboardList } from "../monitoring/types.ts";

export interface DashboardDeps {
  readonly dashboards: DashboardList;
}

const dashboard = z
  .object({
    uid: z.string(),
    title: z.string(),
    tags: z.array(z.string()).readonly(),
    url: z.string(),
  })
  .meta({ id: "Dashboard" });

/** `GET /api/v1/metrics/dashboards`. */
export function addDashboardRoutes(router: Router, { dashboards }: DashboardDeps): void {
  router.route(
    {
      method: "get",
      path: "/api/v1/metrics/dashboards",
      permission: "dashboards:read",
      summary: "Grafana's dashboards (those that come with Fettle where there is no Grafana)",
      answers: { 200: z.object({ dashboards: z.array(dashboard), total: z.int() }) },
    },
    async () => {
      const found = [...(await dashboards.list())];
      return { status: 200, body: { dashboards: found, total: found.length } };
    },
  );
}
