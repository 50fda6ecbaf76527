import { z } from "zod";
import { QueryError } from "../faults.ts";
import type { Point } from "../types/scoring.ts";
import type { SeriesSamples } from "../types/source.ts";

const sampleSchema = z.tuple([z.number(), z.string()]);
const labelsSchema = z.record(z.string(), z.string());

/** Prometheus' `data` for our three shapes of question. Native histograms have no `value` and are left out. */
const dataSchema = z.discriminatedUnion("resultType", [
  z.object({
    resultType: z.literal("matrix"),
    result: z.array(z.object({ metric: labelsSchema, values: z.array(sampleSchema).optional() })),
  }),
  z.object({
    resultType: z.literal("vector"),
    result: z.array(z.object({ metric: labelsSchema, value: sampleSchema.optional() })),
  }),
  z.object({ resultType: z.literal("scalar"), result: sampleSchema }),
]);

const answerSchema = z.discriminatedUnion("status", [
  // Warnings and infos are about the expression; `isPartial` is VictoriaMetrics'.
  z.object({
    status: z.literal("success"),
    isPartial: z.boolean().optional(),
    data: dataSchema,
  }),
  z.object({ status: z.literal("error"), error: z.string(), errorType: z.string().optional() }),
]);

const ERROR_SHOWN = 300;

/** @throws QueryError for everything but a complete, well-formed success */
export function readAnswer(status: number, text: string): readonly SeriesSamples[] {
  const answer = answerSchema.safeParse(parseJson(text));
  if (status !== 200 || (answer.success && answer.data.status === "error")) {
    const said = answer.success && answer.data.status === "error" ? answer.data.error : "";
    throw refusal(status, said.slice(0, ERROR_SHOWN));
  }
  if (!answer.success || answer.data.status !== "success") {
    throw new QueryError("bad_answer", "Prometheus' answer is not of its API's form", {
      cause: answer.error,
    });
  }
  if (answer.data.isPartial === true) {
    const message = "the answer is partial: some of the storage does not answer";
    throw new QueryError("unavailable", message, { retryable: true });
  }
  return seriesOf(answer.data.data);
}

function refusal(status: number, said: string): QueryError {
  const message = `Prometheus answered ${status}${said === "" ? "" : `: ${said}`}`;
  if (status === 400 || status === 422) return new QueryError("bad_query", message);
  return new QueryError("unavailable", message, { retryable: status >= 500 || status === 429 });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // cut off in the middle, or a proxy's HTML page
  }
}

function seriesOf(data: z.infer<typeof dataSchema>): readonly SeriesSamples[] {
  switch (data.resultType) {
    case "matrix":
      return data.result.flatMap(({ metric, values }) =>
        values === undefined ? [] : [{ labels: metric, points: values.map(pointOf) }],
      );
    case "vector":
      return data.result.flatMap(({ metric, value }) =>
        value === undefined ? [] : [{ labels: metric, points: [pointOf(value)] }],
      );
    case "scalar":
      return [{ labels: {}, points: [pointOf(data.result)] }];
  }
}

function pointOf([at, text]: readonly [number, string]): Point {
  const value = /^([+-]?Inf|NaN)$/.test(text) ? NaN : Number(text);
  if (text.trim() === "" || (Number.isNaN(value) && !/Inf|NaN/.test(text))) {
    throw new QueryError("bad_answer", `a sample is not a number: ${text.slice(0, 40)}`);
  }
  return { t: Math.round(at * 1000), value };
}
