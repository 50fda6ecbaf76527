import type { Run } from "./run.ts";

/** What the metric behind an alert says now. No data is not healthy. */
export interface Health {
  readonly kind: "healthy" | "sick" | "no data" | "unknown" | "not asked";
  readonly text: string;
  readonly value?: number;
  /** How long the runbook wants it to stay so; undefined where it does not say. */
  readonly holdSeconds?: number | undefined;
}

/** Asks the metric behind a run's alert. Never rejects. */
export interface Verifier {
  healthy(run: Run): Promise<Health>;
}

/** One series of an answer. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Prometheus, as far as a verification needs it. Rejects when it does not answer. */
export interface MetricSource {
  query(expression: string): Promise<readonly Sample[]>;
}
