import type { Point } from "./scoring.ts";

/** One configured question: its name is the label `metric`, its PromQL may answer with many series. */
export interface MetricQuery {
  readonly name: string;
  readonly expr: string;
}

export type Labels = Readonly<Record<string, string>>;

/** One series of an answer. Points are in time order, at the asked steps; steps without a sample are missing. */
export interface SeriesSamples {
  readonly labels: Labels;
  readonly points: readonly Point[];
}

/** Evaluation times, both ends included, in milliseconds; `from` and `to` are whole multiples of `step`. */
export interface StepRange {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

/** Where samples come from. Rejects with a QueryError: no answer is never "no data". */
export interface MetricSource {
  query(expr: string, range: StepRange, signal?: AbortSignal): Promise<readonly SeriesSamples[]>;
}
