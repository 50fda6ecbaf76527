import { ExponentialBackoff, handleWhen, retry } from "cockatiel";
import { QueryError } from "../faults.ts";
import type { MetricSource, PrometheusAccess, SeriesSamples, StepRange } from "../types.ts";
import { readAnswer } from "./prometheus-answer.ts";
import { pagesOf } from "./prometheus-pages.ts";
import { openTransport, type Transport } from "./prometheus-transport.ts";

/** Prometheus gives up on a query after 2 minutes by default; a cycle should not wait as long. */
const TIMEOUT_MS = 30_000;
const ATTEMPTS = 3;
const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 4_000;
/** An answer is held in memory twice (text and objects): ten thousand series of one page fit. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export interface PrometheusOptions extends PrometheusAccess {
  readonly timeoutMs?: number;
  readonly firstDelayMs?: number;
  readonly answerBytesMax?: number;
}

/**
 * Samples by Prometheus' HTTP API (also Thanos, Mimir, VictoriaMetrics): an instant query for a single step, range
 * queries below the 11,000-point limit for more. A network error, a 5xx and a 429 are tried again, with jitter.
 */
export function connectPrometheus(options: PrometheusOptions): MetricSource {
  const {
    firstDelayMs = FIRST_DELAY_MS,
    timeoutMs = TIMEOUT_MS,
    answerBytesMax = ANSWER_BYTES_MAX,
  } = options;
  const asking = { transport: openTransport(options, answerBytesMax), timeoutMs };
  const retrying = retry(
    handleWhen((error) => error instanceof QueryError && error.retryable),
    {
      maxAttempts: ATTEMPTS - 1,
      backoff: new ExponentialBackoff({ initialDelay: firstDelayMs, maxDelay: LAST_DELAY_MS }),
    },
  );
  return {
    query: async (expr, range, signal) => {
      const pages: (readonly SeriesSamples[])[] = [];
      for (const page of pagesOf(range)) {
        pages.push(await retrying.execute(async () => ask(asking, expr, page, signal), signal));
      }
      return joinPages(pages);
    },
  };
}

interface Asking {
  readonly transport: Transport;
  readonly timeoutMs: number;
}

async function ask(
  { transport, timeoutMs }: Asking,
  expr: string,
  range: StepRange,
  signal: AbortSignal | undefined,
): Promise<readonly SeriesSamples[]> {
  const single = range.from === range.to;
  const form = new URLSearchParams(
    single
      ? { query: expr, time: seconds(range.from) }
      : {
          query: expr,
          start: seconds(range.from),
          end: seconds(range.to),
          step: seconds(range.step),
        },
  );
  const path = single ? "/api/v1/query" : "/api/v1/query_range";
  const timeout = AbortSignal.timeout(timeoutMs);
  const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  const { status, text } = await transport(path, form, both);
  return readAnswer(status, text);
}

function seconds(ms: number): string {
  return String(ms / 1000);
}

/** One list of points per label set; pages come in the order of time. */
function joinPages(pages: readonly (readonly SeriesSamples[])[]): readonly SeriesSamples[] {
  const [only] = pages;
  if (pages.length === 1 && only !== undefined) return only;
  const joined = new Map<string, SeriesSamples>();
  for (const series of pages.flat()) {
    const key = JSON.stringify(Object.entries(series.labels).sort());
    const earlier = joined.get(key);
    joined.set(
      key,
      earlier === undefined
        ? series
        : { labels: series.labels, points: [...earlier.points, ...series.points] },
    );
  }
  return [...joined.values()];
}
