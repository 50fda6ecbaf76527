import { z } from "zod";
import { HttpProblem } from "../../lib/problem.ts";
import type { Cached } from "../monitoring/cache.ts";
import type { Alert, MetricInfo, MetricStore, QueryAnswer } from "../monitoring/types.ts";
import type { Ask } from "./upstream.ts";

/** Prometheus gives up by itself before we do. */
const TIMEOUT = "9s";

const labels = z.record(z.string(), z.string());
const sample = z.tuple([z.number(), z.string()]);

const querySchema = z.object({
  status: z.literal("success"),
  data: z.discriminatedUnion("resultType", [
    z.object({
      resultType: z.literal("vector"),
      result: z.array(z.object({ metric: labels, value: sample.optional() })),
    }),
    z.object({
      resultType: z.literal("matrix"),
      result: z.array(z.object({ metric: labels, values: z.array(sample).optional() })),
    }),
    z.object({ resultType: z.literal("scalar"), result: sample }),
    z.object({ resultType: z.literal("string"), result: sample }),
  ]),
  warnings: z.array(z.string()).default([]),
});
const namesSchema = z.object({ status: z.literal("success"), data: z.array(z.string()) });
const metadataSchema = z.object({
  status: z.literal("success"),
  data: z.record(z.string(), z.array(z.object({ type: z.string(), help: z.string() }))),
});
const alertsSchema = z.object({
  status: z.literal("success"),
  data: z.object({
    alerts: z.array(
      z.object({
        labels,
        annotations: labels.default({}),
        state: z.enum(["pending", "firing"]),
        activeAt: z.string(),
        value: z.string(),
      }),
    ),
  }),
});

/** Metrics in Prometheus; answers are kept for some seconds. */
export function prometheusMetrics(ask: Ask, cached: Cached): MetricStore {
  const get = async <S extends z.ZodType>(
    schema: S,
    path: string,
    form?: Readonly<Record<string, string>>,
  ): Promise<z.output<S>> => {
    const answer = await cached(JSON.stringify([path, form]), async () => ask(path, form));
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    const detail = "Prometheus answered something else than its API says.";
    throw new HttpProblem(502, "Bad gateway", detail);
  };
  const query = async (form: Readonly<Record<string, string>>): Promise<QueryAnswer> => {
    const path = "start" in form ? "/api/v1/query_range" : "/api/v1/query";
    const { data, warnings } = await get(querySchema, path, { ...form, timeout: TIMEOUT });
    return { ...data, warnings };
  };
  return {
    query: async (asked) =>
      query(
        Object.fromEntries(
          Object.entries(asked).filter((pair): pair is [string, string] => pair[1] !== undefined),
        ),
      ),
    list: async () => {
      const [names, metadata] = await Promise.all([
        get(namesSchema, "/api/v1/label/__name__/values"),
        get(metadataSchema, "/api/v1/metadata?limit_per_metric=1"),
      ]);
      return names.data.map((name) => infoOf(name, metadata.data));
    },
    series: async (name) => {
      const { result } = await query({ query: `{__name__=${JSON.stringify(name)}}` });
      return z
        .array(z.object({ metric: labels, value: sample.optional() }))
        .parse(result)
        .flatMap(({ metric, value }) =>
          value === undefined ? [] : [{ labels: metric, timestamp: value[0], value: value[1] }],
        );
    },
    alerts: async () => {
      const { data } = await get(alertsSchema, "/api/v1/alerts");
      return data.alerts.map(alertOf);
    },
  };
}

/** Those of a histogram and a summary have it under the name without its end. */
function infoOf(
  name: string,
  known: Readonly<Record<string, readonly { readonly type: string; readonly help: string }[]>>,
): MetricInfo {
  const base = name.replace(/_(?:bucket|count|sum|total|created)$/, "");
  const [found] = [name, base].flatMap((each) =>
    Object.hasOwn(known, each) ? (known[each] ?? []) : [],
  );
  return { name, type: found?.type ?? "unknown", help: found?.help ?? "" };
}

function alertOf({
  activeAt,
  ...alert
}: z.output<typeof alertsSchema>["data"]["alerts"][number]): Alert {
  const { alertname = "", severity = null } = alert.labels as {
    readonly alertname?: string;
    readonly severity?: string;
  };
  return { ...alert, name: alertname, severity, active_at: activeAt };
}
