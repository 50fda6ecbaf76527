import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { Router } from "../frame/router.ts";
import type { MetricInfo, MetricStore } from "../monitoring/types.ts";
import type { Permission } from "../permissions.ts";

export interface MonitoringDeps {
  readonly metricStore: MetricStore;
  /** Names of metrics that are about workflows. */
  readonly workflowMetrics: RegExp;
}

const QUERY_MAX = 4_000;
const SERIES_MAX = 1_000;
const NAMES_MAX = 10_000;
const ALERTS_MAX = 2_000;

const moment = z
  .string()
  .regex(/^(\d{1,10}(\.\d{1,9})?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))$/, {
    error: "must be RFC 3339 (2026-01-31T12:00:00Z) or seconds since 1970",
  });
const step = z.string().regex(/^(\d{1,8}(\.\d{1,3})?|(\d{1,6}(ms|[smhdwy]))+)$/, {
  error: "must be seconds or a duration such as 1m",
});
const querySchema = z.strictObject({
  query: z.string().min(1).max(QUERY_MAX),
  time: moment.optional(),
  start: moment.optional(),
  end: moment.optional(),
  step: step.optional(),
});

const labels = z.record(z.string(), z.string()).readonly();
const sample = z.tuple([z.number(), z.string()]).readonly();
const queryAnswer = z
  .object({
    resultType: z.enum(["vector", "matrix", "scalar", "string"]),
    result: z.array(
      z.union([
        z.object({
          metric: labels,
          value: sample.optional(),
          values: z.array(sample).readonly().optional(),
        }),
        z.number(),
        z.string(),
      ]),
    ),
    warnings: z.array(z.string()),
  })
  .meta({ id: "QueryAnswer" });

const alert = z
  .object({
    name: z.string(),
    state: z.enum(["pending", "firing"]),
    severity: z.string().nullable(),
    labels,
    annotations: labels,
    active_at: z.string(),
    value: z.string(),
  })
  .meta({ id: "Alert" });
const alertsAnswer = z.object({ alerts: z.array(alert), total: z.int() });

const info = z.object({ name: z.string(), type: z.string(), help: z.string() });
const metricsAnswer = z.object({ metrics: z.array(info), total: z.int(), truncated: z.boolean() });
const metricAnswer = info.extend({
  series: z.array(z.object({ labels, timestamp: z.number(), value: z.string() })),
  total: z.int(),
  truncated: z.boolean(),
});

/** Prometheus, asked for people: `/api/v1/metrics/query` and `/alerts`, `/monitoring/…`. */
export function addMonitoringRoutes(router: Router, deps: MonitoringDeps): void {
  const { metricStore, workflowMetrics } = deps;
  addQueryRoute(router, metricStore);
  addAlertRoute(router, metricStore, ["/api/v1/metrics/alerts", "metrics:read"]);
  addAlertRoute(router, metricStore, ["/monitoring/alerts", "monitoring:read"]);
  addMetricRoutes(router, metricStore, { path: "/monitoring/metrics", named: () => true });
  addMetricRoutes(router, metricStore, {
    path: "/monitoring/workflows/metrics",
    named: (name) => workflowMetrics.test(name),
  });
}

function addQueryRoute(router: Router, metricStore: MetricStore): void {
  router.route(
    {
      method: "get",
      path: "/api/v1/metrics/query",
      permission: "metrics:read",
      summary: "asks Prometheus: at one time, or over a range with start, end and step",
      query: querySchema,
      answers: { 200: queryAnswer },
    },
    async (call) => {
      const { query, time, start, end, step: every } = call.query;
      const range = [start, end, every].filter((each) => each !== undefined).length;
      if (range !== 0 && (range !== 3 || time !== undefined)) {
        const detail = "start, end, step: belong together, and time does not go with them";
        throw new HttpProblem(400, "Bad request", detail);
      }
      const { result, warnings, resultType } = await metricStore.query(
        start === undefined || end === undefined || every === undefined
          ? { query, time }
          : { query, start, end, step: every },
      );
      // The adapter has checked their form; the schema leaves out what Prometheus may add.
      const shown = result as z.input<typeof queryAnswer>["result"];
      return { status: 200, body: { resultType, result: [...shown], warnings: [...warnings] } };
    },
  );
}

function addAlertRoute(
  router: Router,
  metricStore: MetricStore,
  [path, permission]: readonly [string, Permission],
): void {
  router.route(
    {
      method: "get",
      path,
      permission,
      summary: "Prometheus' alerts that are pending or fire now",
      answers: { 200: alertsAnswer },
    },
    async () => {
      const all = await metricStore.alerts();
      return { status: 200, body: { alerts: all.slice(0, ALERTS_MAX), total: all.length } };
    },
  );
}

interface Metrics {
  readonly path: string;
  readonly named: (name: string) => boolean;
}

function addMetricRoutes(router: Router, metricStore: MetricStore, { path, named }: Metrics): void {
  const find = async (): Promise<readonly MetricInfo[]> =>
    (await metricStore.list()).filter(({ name }) => named(name));
  router.route(
    {
      method: "get",
      path,
      permission: "monitoring:read",
      summary: "the metrics that Prometheus has",
      answers: { 200: metricsAnswer },
    },
    async () => {
      const all = await find();
      const metrics = all.slice(0, NAMES_MAX);
      return {
        status: 200,
        body: { metrics, total: all.length, truncated: all.length > metrics.length },
      };
    },
  );
  router.route(
    {
      method: "get",
      path: `${path}/:name`,
      permission: "monitoring:read",
      summary: "one metric: its series as they are now",
      params: z.strictObject({
        name: z.string().regex(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,254}$/, {
          error: "must be a metric's name",
        }),
      }),
      answers: { 200: metricAnswer },
    },
    async ({ params: { name } }) => {
      const known = (await find()).find((each) => each.name === name);
      if (known === undefined)
        throw new HttpProblem(404, "Not found", `There is no metric ${name}.`);
      const all = await metricStore.series(name);
      const series = all.slice(0, SERIES_MAX);
      const truncated = all.length > series.length;
      return { status: 200, body: { ...known, series, total: all.length, truncated } };
    },
  );
}
