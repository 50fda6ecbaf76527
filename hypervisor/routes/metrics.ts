import { Gauge, type Registry } from "prom-client";
import { z } from "zod";
import type { Queryable } from "../../lib/postgres.ts";
import type { Router } from "../frame/router.ts";

interface MetricsDeps {
  readonly registry: Registry;
  readonly database: Queryable;
}

const metricsAnswer = z.object({ metrics: z.array(z.looseObject({ name: z.string() })) });
const drillAnswer = z.object({ last_successful_drill_timestamp_seconds: z.number() });

/** `GET /metrics/json`, and `POST /metrics/drill-success`, by which a recovery drill says that it ended well. */
export function addMetricsRoutes(router: Router, deps: MetricsDeps): void {
  const { registry } = deps;
  router.route(
    {
      method: "get",
      path: "/metrics/json",
      permission: "public",
      summary: "the service's metrics as JSON",
      answers: { 200: metricsAnswer },
    },
    async () => {
      const metrics = await registry.getMetricsAsJSON();
      return { status: 200, body: { metrics: metrics.map((metric) => ({ ...metric })) } };
    },
  );
  addDrillGauge(deps);
  router.route(
    {
      method: "post",
      path: "/metrics/drill-success",
      permission: "monitoring:update",
      summary: "a recovery drill ended well just now",
      answers: { 200: drillAnswer },
      mutates: { action: "DrillRecorded", resource: "system" },
    },
    async ({ change }) =>
      change({ id: "drill", summary: "A recovery drill ended well" }, async (tx) => {
        const { rows } = await tx.query<{ seconds: number }>(
          `INSERT INTO hypervisor_drills (ended_at) VALUES (now())
           ON CONFLICT (only_one) DO UPDATE SET ended_at = excluded.ended_at
           RETURNING extract(epoch FROM ended_at)::float8 AS seconds`,
        );
        const seconds = rows[0]?.seconds ?? 0;
        return { status: 200, body: { last_successful_drill_timestamp_seconds: seconds } };
      }),
  );
}

/** From the database, so that every replica says the same, also after a restart. 0: never yet. */
function addDrillGauge({ registry, database }: MetricsDeps): void {
  const gauge = new Gauge({
    name: "last_successful_drill_timestamp_seconds",
    help: "When a recovery drill last ended well",
    registers: [registry],
    collect: async () => {
      const found = await database
        .query<{ seconds: number }>(
          "SELECT extract(epoch FROM ended_at)::float8 AS seconds FROM hypervisor_drills",
        )
        .catch(() => undefined); // without the database the other metrics are all the more wanted
      if (found !== undefined) gauge.set(found.rows[0]?.seconds ?? 0);
    },
  });
}
