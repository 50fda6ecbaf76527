import type { Clock } from "../lib/clock.ts";
import { inSpan } from "../lib/tracing.ts";
import { evaluate, type EvaluateDeps } from "./evaluate.ts";
import type { QueryError } from "./faults.ts";
import { finishNotices, type FinishDeps } from "./finish.ts";
import { tell } from "./last-words.ts";
import type { DetectorMetrics } from "./metrics.ts";
import type { SeenAnomaly } from "./journal.ts";
import { publish, type PublishDeps } from "./publish.ts";
import { queryMetric, type QueryDeps } from "./query.ts";
import type { StepRange } from "./types/source.ts";
import type { FeatureRow, Progress } from "./types/store.ts";
import { CATCH_UP_STEPS_MAX, type WatchedMetric } from "./watched-metric.ts";

/** Steps asked for at once: a page of 500 series stays below 10 MB, and progress can be seen. */
const CHUNK_STEPS = 720;
/** Fewer where a metric has many series: a chunk of 100,000 series is 40 steps, about 100 MB. */
const CHUNK_POINTS = 4_000_000;
/** Nobody knows yet how many series a metric has. */
const FIRST_CHUNK_STEPS = 12;
const METRICS_AT_ONCE = 4;

export interface CycleDeps
  extends QueryDeps, Omit<EvaluateDeps, "metrics">, FinishDeps, PublishDeps {
  readonly clock: Clock;
  readonly step: number;
  readonly metrics: DetectorMetrics;
  readonly journal: PublishDeps["journal"] & {
    flush(progress: readonly Progress[], sightings: readonly SeenAnomaly[]): Promise<void>;
  };
  /** Whether a metric's group is still ours; undefined when it cannot be lost. */
  readonly owns?: (metric: string) => boolean;
  /** Keeps the newest scored point of each series; undefined unless AIOPS_FEATURES is on. */
  readonly features: { add(row: FeatureRow): void } | undefined;
  readonly onProgress: (progress: BackfillProgress) => void;
}

/** How much of a metric's past has been read. */
export interface BackfillProgress {
  readonly metric: string;
  readonly done: number;
  readonly total: number;
}

/**
 * One cycle: every metric is brought up to the newest whole step. It takes no input, may run at any time, and does not
 * retry: what it could not do now is due in the next one.
 */
export async function runCycle(watched: readonly WatchedMetric[], deps: CycleDeps): Promise<void> {
  const start = performance.now();
  await inSpan("detector cycle", { "fettle.metrics": watched.length }, async () =>
    bringAllUp(watched, deps),
  );
  deps.metrics.cycleTook((performance.now() - start) / 1000);
}

/** Like a cycle, of groups that were taken over: their past is read while the cycles of the others go on. */
export async function catchUp(watched: readonly WatchedMetric[], deps: CycleDeps): Promise<void> {
  await inSpan("detector catch-up", { "fettle.metrics": watched.length }, async () =>
    bringAllUp(watched, deps),
  );
}

async function bringAllUp(watched: readonly WatchedMetric[], deps: CycleDeps): Promise<void> {
  const target = newestStep(deps.clock.now(), deps.step);
  const waiting = [...watched];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await bringUpTo(next, target, deps);
    }
  };
  await Promise.all(Array.from({ length: METRICS_AT_ONCE }, worker));
  await deps.journal.flush(progressOf(watched), sightingsOf(watched));
}

/** The newest time that all metrics are evaluated at: whole steps, so that a restart evaluates the same points. */
export function newestStep(now: Date, step: number): number {
  return Math.floor(now.getTime() / step) * step;
}

/** query → features → forest → explain → finish → publish, chunk by chunk, until the metric is up to date. */
async function bringUpTo(metric: WatchedMetric, target: number, deps: CycleDeps): Promise<void> {
  metric.silentUntil = Math.max(metric.silentUntil, target - CATCH_UP_STEPS_MAX * deps.step);
  const begin = metric.evaluatedUntil;
  for (
    let range = nextChunk(metric, target, deps.step);
    range;
    range = nextChunk(metric, target, deps.step)
  ) {
    const answer = await queryMetric(metric.query, range, deps);
    noteFault(metric, answer.kind === "failed" ? answer.error : undefined, deps);
    if (answer.kind === "failed" || deps.owns?.(metric.query.name) === false) return;

    const silent = range.to <= metric.silentUntil;
    const notices = await evaluate(metric, answer.samples, range, { ...deps, silent });
    for (const notice of await finishNotices(metric, notices, deps)) await publish(notice, deps);

    metric.evaluatedUntil = range.to;
    if (silent) reportBackfill(metric, begin, deps);
    else keepFeatures(metric, range, deps);
  }
  for (const series of metric.series.values()) deps.metrics.show(metric.query.name, series);
}

/** After an outage several steps are made up for at once; of those only the newest is kept. */
function keepFeatures(
  metric: WatchedMetric,
  { from, to }: StepRange,
  { features }: CycleDeps,
): void {
  if (features === undefined) return;
  for (const { id, last } of metric.series.values()) {
    if (last === undefined) continue;
    const { t: time, value, row, score } = tell(last);
    if (time < from || time > to) continue;
    features.add({ time, metric: metric.query.name, series: id, value, features: row, score });
  }
}

/** One line when a metric stops being answered, or fails otherwise, and one when it is answered again. */
function noteFault(
  metric: WatchedMetric,
  error: QueryError | undefined,
  { log, signal }: Pick<CycleDeps, "log" | "signal">,
): void {
  const fields = { metric: metric.query.name, kind: error?.kind, error };
  if (error?.message !== metric.fault?.message && !signal.aborted) {
    if (error === undefined) log.info("query answered again", { metric: metric.query.name });
    else log.warn("query failed", fields);
  }
  metric.fault = error;
}

function chunkSteps(series: number): number {
  if (series === 0) return FIRST_CHUNK_STEPS;
  return Math.max(1, Math.min(CHUNK_STEPS, Math.floor(CHUNK_POINTS / series)));
}

/** The next steps that are due; a chunk is silent or live as a whole. */
function nextChunk(metric: WatchedMetric, target: number, step: number): StepRange | undefined {
  const from = metric.evaluatedUntil + step;
  const end = from <= metric.silentUntil ? Math.min(metric.silentUntil, target) : target;
  const to = Math.min(end, from + (chunkSteps(metric.series.size) - 1) * step);
  return from <= to ? { from, to, step } : undefined;
}

function reportBackfill(
  metric: WatchedMetric,
  begin: number,
  { step, onProgress }: CycleDeps,
): void {
  onProgress({
    metric: metric.query.name,
    done: (metric.evaluatedUntil - begin) / step,
    total: (metric.silentUntil - begin) / step,
  });
}

function progressOf(watched: readonly WatchedMetric[]): readonly Progress[] {
  return watched
    .filter(({ evaluatedUntil, silentUntil }) => evaluatedUntil >= silentUntil)
    .map(({ query, evaluatedUntil }) => ({ ...query, evaluatedUntil }));
}

function sightingsOf(watched: readonly WatchedMetric[]): readonly SeenAnomaly[] {
  return watched.flatMap(({ query, series }) =>
    [...series.values()].flatMap(({ anomaly, episode }) =>
      anomaly === undefined || episode.kind !== "open"
        ? []
        : [{ id: anomaly.id, metric: query.name, lastSeenAt: episode.lastSeenAt }],
    ),
  );
}
