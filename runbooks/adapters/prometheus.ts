import { z } from "zod";
import type { Secret } from "../../lib/secret.ts";
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
export function prometheusSource({
  url,
  token,
}: {
  readonly url: string;
  readonly token: Secret | undefined;
}): MetricSource {
  return {
    query: async (expression) => {
      const response = await fetch(`${url.replace(/\/$/, "")}/api/v1/query`, {
        method: "POST",
        headers: {
          accept: "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
        },
        body: new URLSearchParams({ query: expression }),
        redirect: "error",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await readBounded(response);
      if (!response.ok) throw new Error(`Prometheus answered ${response.status}`);
      const answer = answerSchema.safeParse(parseJson(text));
      if (!answer.success) throw new Error("Prometheus answered something else than a vector");
      return answer.data.data.result.map(({ metric, value: [, number] }) => ({
        labels: metric,
        value: Number(number), // "NaN" and "+Inf" come as such
      }));
    },
  };
}

async function readBounded(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const body: AsyncIterable<Uint8Array> | undefined = response.body ?? undefined;
  if (body === undefined) return "";
  for await (const part of body) {
    bytes += part.byteLength;
    if (bytes > ANSWER_BYTES_MAX)
      throw new Error(`Prometheus' answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
