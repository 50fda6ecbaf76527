import type { MetricQuery, MetricSource, Point, SeriesSamples, StepRange } from "../types.ts";

/** Steps asked for at once, as in the running detector's backfill. */
const CHUNK_STEPS = 720;

export interface MetricHistory {
  readonly query: MetricQuery;
  readonly series: readonly SeriesSamples[];
}

export interface HistoryProgress {
  readonly metric: string;
  readonly done: number;
  readonly total: number;
}

/** Reads the past of some metrics. @throws QueryError: half a history is none */
export async function readHistory(
  queries: readonly MetricQuery[],
  range: StepRange,
  source: MetricSource,
  onProgress: (progress: HistoryProgress) => void = () => undefined,
): Promise<readonly MetricHistory[]> {
  const histories: MetricHistory[] = [];
  for (const query of queries) {
    histories.push({ query, series: await readMetric(query, range, source, onProgress) });
  }
  return histories;
}

async function readMetric(
  { name, expr }: MetricQuery,
  { from, to, step }: StepRange,
  source: MetricSource,
  onProgress: (progress: HistoryProgress) => void,
): Promise<readonly SeriesSamples[]> {
  const found = new Map<string, { labels: SeriesSamples["labels"]; points: Point[] }>();
  for (let start = from; start <= to; start += CHUNK_STEPS * step) {
    const end = Math.min(to, start + (CHUNK_STEPS - 1) * step);
    for (const { labels, points } of await source.query(expr, { from: start, to: end, step })) {
      const key = JSON.stringify(Object.entries(labels).sort());
      const known = found.get(key) ?? { labels, points: [] };
      known.points.push(...points);
      found.set(key, known);
    }
    onProgress({ metric: name, done: (end - from) / step, total: (to - from) / step });
  }
  return [...found.values()];
}
