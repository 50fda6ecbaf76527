import { z } from "zod";
import type { PrometheusAccess } from "../../lib/access.ts";
import { exchange } from "../../lib/exchange.ts";
import type { Log } from "../../lib/log.ts";
import { parseJson } from "../../lib/parse-json.ts";
import { prometheusHeaders } from "../../lib/prometheus-access.ts";
import { followTlsFiles } from "../../lib/tls-options.ts";
import type { MetricSource } from "../types/verify.ts";

const TIMEOUT_MS = 5_000;
/** 1,000 series are about 200 KiB. */
const ANSWER_BYTES_MAX = 1024 * 1024;

const answerSchema = z.object({
  status: z.literal("success"),
  data: z.object({
    resultType: z.literal("vector"),
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        value: z.tuple([z.number(), z.string()]),
      }),
    ),
  }),
});

/** Prometheus' instant queries, bounded in time and size. */
export function prometheusSource(access: PrometheusAccess, log: Log): MetricSource {
  const tls = followTlsFiles(access.tls, { owner: "Prometheus", log });
  return {
    query: async (expression) => {
      const { status, text } = await exchange(`${access.url}/api/v1/query`, {
        method: "POST",
        headers: { accept: "application/json", ...prometheusHeaders(access) },
        body: new URLSearchParams({ query: expression }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
        tls: tls(),
        bytesMax: ANSWER_BYTES_MAX,
      });
      if (status !== 200) throw new Error(`Prometheus answered ${status}`);
      const answer = answerSchema.safeParse(parseJson(text));
      if (!answer.success) throw new Error("Prometheus answered something else than a vector");
      return answer.data.data.result.map(({ metric, value: [, number] }) => ({
        labels: metric,
        value: Number(number), // "NaN" and "+Inf" come as such
      }));
    },
  };
}
