import { seriesId } from "../series.ts";
import type { MetricQuery, MetricSource, SeriesSamples, StepRange } from "../types/source.ts";
import type { Point } from "../types/scoring.ts";

/** Steps asked for at once, as in the running detector's backfill. */
const CHUNK_STEPS = 720;

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
  for (let start = from; start <= to; start += CHUNK_STEPS * step) {
    const end = Math.min(to, start + (CHUNK_STEPS - 1) * step);
    for (const { labels, points } of await source.query(expr, { from: start, to: end, step })) {
      const id = seriesId(labels);
      const known = found.get(id) ?? { labels, points: [] };
      known.points.push(...points);
      found.set(id, known);
    }
    // The smallest ids are a fair sample, as they are hashes, and the same one every time. What was dropped is dropped
    // again whenever it comes back, so that what is kept is whole.
    for (const id of [...found.keys()].sort().slice(seriesMax)) found.delete(id);
    onProgress({ metric: name, done: (end - from) / step, total: (to - from) / step });
  }
  return [...found.values()];
}
