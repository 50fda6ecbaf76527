import { ExponentialBackoff, handleWhen, retry } from "cockatiel";
import type { Secret } from "../../lib/secret.ts";
import { QueryError } from "../faults.ts";
import type { MetricSource, SeriesSamples, StepRange } from "../types.ts";
import { readAnswer } from "./prometheus-answer.ts";
import { pagesOf } from "./prometheus-pages.ts";
import { readCapped } from "./read-capped.ts";

/** Prometheus gives up on a query after 2 minutes by default; a cycle should not wait as long. */
const TIMEOUT_MS = 30_000;
const ATTEMPTS = 3;
const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 4_000;
/** An answer is held in memory twice (text and objects): ten thousand series of one page fit. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export interface PrometheusOptions {
  readonly url: string;
  readonly token: Secret | undefined;
  readonly timeoutMs?: number;
  readonly firstDelayMs?: number;
  readonly answerBytesMax?: number;
}

/**
 * Samples by Prometheus' HTTP API (also Thanos, Mimir, VictoriaMetrics): an instant query for a single step, range
 * queries below the 11,000-point limit for more. A network error, a 5xx and a 429 are tried again, with jitter.
 */
export function connectPrometheus(options: PrometheusOptions): MetricSource {
  const { firstDelayMs = FIRST_DELAY_MS } = options;
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
        pages.push(await retrying.execute(async () => ask(options, expr, page, signal), signal));
      }
      return joinPages(pages);
    },
  };
}

async function ask(
  options: PrometheusOptions,
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
  const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
  const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  const { status, text } = await send(options, path, form, both);
  return readAnswer(status, text);
}

async function send(
  { url, token, answerBytesMax = ANSWER_BYTES_MAX }: PrometheusOptions,
  path: string,
  form: URLSearchParams,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(`${url}${path}`, {
      method: "POST", // a long expression does not fit into a URL
      body: form,
      signal,
      redirect: "error", // the bearer token goes to the configured server only
      headers: {
        accept: "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
      },
    });
    return { status: response.status, text: await readCapped(response, answerBytesMax) };
  } catch (error) {
    if (error instanceof QueryError) throw error;
    throw new QueryError("unavailable", `Prometheus does not answer ${path}`, {
      cause: error,
      retryable: true,
    });
  }
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
