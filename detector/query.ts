import { QueryError, type QueryFault } from "./faults.ts";
import type { MetricQuery, MetricSource, SeriesSamples, StepRange } from "./types/source.ts";

export type Answer =
  | { readonly kind: "answered"; readonly samples: readonly SeriesSamples[] }
  | { readonly kind: "failed"; readonly error: QueryError };

export interface QueryDeps {
  readonly source: MetricSource;
  readonly metrics: { queryFailed(metric: string, kind: QueryFault): void };
  readonly signal: AbortSignal;
}

/** Asks for the steps of one metric. A failure is a value that the cycle must look at: it is never "no data". */
export async function queryMetric(
  metric: MetricQuery,
  range: StepRange,
  { source, metrics, signal }: QueryDeps,
): Promise<Answer> {
  try {
    return { kind: "answered", samples: await source.query(metric.expr, range, signal) };
  } catch (error) {
    const fault =
      error instanceof QueryError
        ? error
        : new QueryError("unavailable", "query was broken off", { cause: error });
    if (!signal.aborted) metrics.queryFailed(metric.name, fault.kind);
    return { kind: "failed", error: fault };
  }
}
