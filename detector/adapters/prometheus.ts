import { ExponentialBackoff, handleWhen, retry } from "cockatiel";
import type { PrometheusAccess } from "../../lib/access.ts";
import { systemClock, type Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { QueryError } from "../faults.ts";
import type { MetricSource, StepRange } from "../types/source.ts";
import { readAnswer } from "./prometheus-answer.ts";
import { inPages, type Page } from "./prometheus-pages.ts";
import { openTransport, type Transport } from "./prometheus-transport.ts";

/** Prometheus gives up on a query after 2 minutes by default; a cycle should not wait as long. */
const TIMEOUT_MS = 30_000;
const ATTEMPTS = 3;
const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 4_000;
/** An answer is held in memory twice (text and objects); one step of two hundred thousand series fits. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** A question whose answer is larger is asked in halves; all of them together give no more than so many answers. */
const ANSWERS_MAX = 4;
/** Asked about its future, Prometheus answers "no data", with success: a clock that is so far behind is no witness. */
const CLOCK_BEHIND_MAX_MS = 30_000;

export interface PrometheusOptions extends PrometheusAccess {
  readonly firstDelayMs?: number;
  readonly answerBytesMax?: number;
  readonly log?: Log;
  readonly clock?: Pick<Clock, "now">;
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
    clock = systemClock,
    log,
  } = options;
  const transport = openTransport(options, { answerBytesMax, clock, log });
  const asking = { transport, timeoutMs, clock };
  const retrying = retry(
    handleWhen((error) => error instanceof QueryError && error.retryable),
    {
      maxAttempts: ATTEMPTS - 1,
      backoff: new ExponentialBackoff({ initialDelay: firstDelayMs, maxDelay: LAST_DELAY_MS }),
    },
  );
  const askPages = inPages(ANSWERS_MAX * answerBytesMax);
  return {
    query: async (expr, range, signal) =>
      askPages(expr, range, async (one, page) =>
        retrying.execute(async () => ask(asking, one, page, signal), signal),
      ),
  };
}

interface Asking {
  readonly transport: Transport;
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, "now">;
}

/** A part of the data would look like series that have vanished: Thanos and VictoriaMetrics shall refuse instead. Prometheus does not know these. */
const WHOLE_ANSWERS = { partial_response: "false", deny_partial_response: "1" };

async function ask(
  { transport, timeoutMs, clock }: Asking,
  expr: string,
  range: StepRange,
  signal: AbortSignal | undefined,
): Promise<Page> {
  const single = range.from === range.to;
  const { from, to, step } = range;
  const when = single
    ? { time: seconds(from) }
    : { start: seconds(from), end: seconds(to), step: seconds(step) };
  const form = new URLSearchParams({ query: expr, ...when, ...WHOLE_ANSWERS });
  const path = single ? "/api/v1/query" : "/api/v1/query_range";
  const timeout = AbortSignal.timeout(timeoutMs);
  const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  const { status, text, aheadMs = 0 } = await transport(path, form, both);
  const samples = readAnswer(status, text);
  if (aheadMs > CLOCK_BEHIND_MAX_MS && to > clock.now().getTime() - aheadMs) {
    throw new QueryError(
      "unavailable",
      `Prometheus' clock is more than ${CLOCK_BEHIND_MAX_MS / 1000} s behind ours: it does not know this time yet`,
    );
  }
  return { samples, length: text.length };
}

function seconds(ms: number): string {
  return String(ms / 1000);
}
