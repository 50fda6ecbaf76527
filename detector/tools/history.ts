import { seriesId } from "../series.ts";
import type { MetricQuery, MetricSource, SeriesSamples, StepRange } from "../types/source.ts";
import type { Point } from "../types/scoring.ts";

/** Steps asked for at once, as in the running detector's backfill: fewer where a metric has many series. */
const CHUNK_STEPS = 720;
const CHUNK_POINTS = 4_000_000;
/** Nobody knows yet how many series a metric has. */
const FIRST_CHUNK_STEPS = 12;

/** Steps of one command; a year of minutes has 525,600. */
export const HISTORY_STEPS_MAX = 2_000_000;

export interface MetricHistory {
  readonly query: MetricQuery;
  readonly series: readonly SeriesSamples[];
}

export interface HistoryProgress {
  readonly metric: string;
  readonly done: number;
  readonly total: number;
}

export interface HistoryDeps {
  readonly source: MetricSource;
  /** Series kept of each metric; all unless set. */
  readonly seriesMax?: number | undefined;
  readonly onProgress?: ((progress: HistoryProgress) => void) | undefined;
}

/** Reads the past of some metrics. @throws QueryError: half a history is none */
export async function readHistory(
  queries: readonly MetricQuery[],
  range: StepRange,
  deps: HistoryDeps,
): Promise<readonly MetricHistory[]> {
  const histories: MetricHistory[] = [];
  for (const query of queries) {
    histories.push({ query, series: await readMetric(query, range, deps) });
  }
  return histories;
}

async function readMetric(
  { name, expr }: MetricQuery,
  { from, to, step }: StepRange,
  { source, seriesMax = Infinity, onProgress = () => undefined }: HistoryDeps,
): Promise<readonly SeriesSamples[]> {
  const found = new Map<string, { labels: SeriesSamples["labels"]; points: Point[] }>();
  let steps = FIRST_CHUNK_STEPS;
  let start = from;
  while (start <= to) {
    const end = Math.min(to, start + (steps - 1) * step);
    const answer = await source.query(expr, { from: start, to: end, step });
    steps = Math.max(1, Math.min(CHUNK_STEPS, Math.floor(CHUNK_POINTS / (answer.length + 1))));
    for (const { labels, points } of answer) {
      const id = seriesId(labels);
      const known = found.get(id) ?? { labels, points: [] };
      known.points.push(...points);
      found.set(id, known);
    }
    // The smallest ids are a fair sample, as they are hashes, and the same one every time. What was dropped is dropped
    // again whenever it comes back, so that what is kept is whole.
    for (const id of [...found.keys()].sort().slice(seriesMax)) found.delete(id);
    start = end + step;
    onProgress({ metric: name, done: (end - from) / step, total: (to - from) / step });
  }
  return [...found.values()];
}
