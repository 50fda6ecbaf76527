import { z } from "zod";
import type { PrometheusAccess } from "../../../lib/access.ts";
import { exchange } from "../../../lib/exchange.ts";
import type { Log } from "../../../lib/log.ts";
import { parseJson } from "../../../lib/parse-json.ts";
import { prometheusHeaders } from "../../../lib/prometheus-access.ts";
import { followTlsFiles } from "../../../lib/tls-options.ts";
import type { MetricRanges } from "../../types/collect.ts";
import { matrixSchema } from "../prometheus-matrix.ts";

/** 500 series with 240 points each. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

const refusalSchema = z.object({ error: z.string() });

/** Prometheus' range queries, bounded in size; the caller's signal bounds them in time. */
export function prometheusRanges(access: PrometheusAccess, log: Log): MetricRanges {
  const tls = followTlsFiles(access.tls, { owner: "Prometheus", log });
  return {
    range: async ({ query, from, to, stepSeconds }, signal) => {
      const { status, text } = await exchange(`${access.url}/api/v1/query_range`, {
        method: "POST",
        headers: { accept: "application/json", ...prometheusHeaders(access) },
        body: new URLSearchParams({
          query,
          start: String(from.getTime() / 1000),
          end: String(to.getTime() / 1000),
          step: String(stepSeconds),
        }),
        signal,
        tls: tls(),
        bytesMax: ANSWER_BYTES_MAX,
      });
      const answer = parseJson(text);
      if (status !== 200) {
        const { error = "" } = refusalSchema.safeParse(answer).data ?? {};
        throw new Error(`Prometheus answered ${status} ${error}`.trim().slice(0, 300));
      }
      const matrix = matrixSchema.safeParse(answer);
      if (!matrix.success) throw new Error("Prometheus answered something else than a matrix");
      return matrix.data.data.result.map(({ metric, values }) => ({
        labels: metric,
        // "NaN" and "+Inf" come as such
        points: values.map(([seconds, value]) => [seconds, Number(value)] as const),
      }));
    },
  };
}
