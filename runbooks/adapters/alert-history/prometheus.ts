import type { z } from "zod";
import type { PrometheusAccess } from "../../../lib/access.ts";
import { canonicalJson } from "../../../lib/canonical.ts";
import { messageOf } from "../../../lib/error.ts";
import { exchange, TooLarge } from "../../../lib/exchange.ts";
import { parseJson } from "../../../lib/parse-json.ts";
import { prometheusHeaders } from "../../../lib/prometheus-access.ts";
import { followTlsFiles } from "../../../lib/tls-options.ts";
import type { AlertHistory, PastAlert } from "../../backtest/types.ts";
import { matrixSchema } from "../prometheus-matrix.ts";
import { AlertIndex } from "./alert-index.ts";
import { inPortions } from "./in-portions.ts";

export interface PrometheusHistoryOptions {
  readonly access: PrometheusAccess;
  readonly stepSeconds: number;
  readonly answerBytesMax?: number;
}

/** Why the history could not be read; `kind` is for the exit code. */
class HistoryError extends Error {
  override readonly name = "HistoryError";
  readonly kind: "unavailable" | "too large" | "refused";

  constructor(kind: HistoryError["kind"], message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

const EXPRESSION = 'ALERTS{alertstate="firing"}';
const TIMEOUT_MS = 30_000;
const ATTEMPTS = 3;
const RETRY_MS = 500;
/** Steps of one question; the server's own limit is 11,000 points a series. */
const STEPS_PER_QUESTION = 120;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

type Series = z.infer<typeof matrixSchema>["data"]["result"][number];

/**
 * The alerts that Prometheus itself remembers: steps at which `ALERTS` was firing, joined to intervals. An alert that fired
 * when the period began is taken to begin with it; one that fires at its last step is taken to go on.
 */
export function prometheusAlerts(options: PrometheusHistoryOptions): AlertHistory {
  const stepMs = options.stepSeconds * 1000;
  return {
    name: "prometheus",
    read: async function* ({ from, to }) {
      const intervals = new Intervals(stepMs);
      const chunk = STEPS_PER_QUESTION * stepMs;
      for (let start = from; start < to; start += chunk) {
        const end = Math.min(start + chunk - stepMs, to - 1);
        for await (const series of ask({ start, end: Math.max(start, end) }, options))
          for (const one of series) intervals.add(one);
      }
      intervals.close(to);
      yield* inPortions(intervals.alerts());
    },
  };
}

/** Steps of series → intervals. */
class Intervals {
  readonly #index = new AlertIndex();
  readonly #stepMs: number;
  readonly #labels: PastAlert["labels"][] = [];
  /** By labels: the series' number, the row of the interval that goes on, and the last step at which it did. */
  readonly #open = new Map<string, { series: number; row: number; last: number }>();

  constructor(stepMs: number) {
    this.#stepMs = stepMs;
  }

  add({ metric, values }: Series): void {
    const labels = Object.fromEntries(
      Object.entries(metric).filter(([name]) => name !== "__name__" && name !== "alertstate"),
    );
    const key = canonicalJson(labels);
    for (const [seconds] of values) this.#sample(key, labels, Math.round(seconds * 1000));
  }

  #sample(key: string, labels: PastAlert["labels"], at: number): void {
    const present = this.#open.get(key);
    if (present !== undefined && at - present.last <= this.#stepMs) {
      present.last = at;
      return;
    }
    if (present !== undefined) this.#index.resolve(present.row, present.last + this.#stepMs);
    const series = present?.series ?? this.#labels.push(labels) - 1;
    const row = this.#index.add({ at, resolvedAt: Infinity, reference: series, part: 0 });
    this.#open.set(key, { series, row, last: at });
  }

  close(to: number): void {
    for (const { row, last } of this.#open.values())
      if (last + this.#stepMs < to) this.#index.resolve(row, last + this.#stepMs);
  }

  *alerts(): Generator<PastAlert> {
    for (const { at, resolvedAt, reference } of this.#index.read()) {
      const labels = this.#labels[reference] ?? {};
      yield { at, resolvedAt, labels, source: "prometheus", truncated: false };
    }
  }
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** An answer that is too large is asked for in halves. */
async function* ask(
  range: Range,
  options: PrometheusHistoryOptions,
): AsyncGenerator<readonly Series[]> {
  try {
    yield await askPersistently(range, options);
  } catch (error) {
    const stepMs = options.stepSeconds * 1000;
    const steps = Math.floor((range.end - range.start) / stepMs);
    if (!(error instanceof HistoryError) || error.kind !== "too large" || steps < 1) throw error;
    const middle = range.start + Math.floor(steps / 2) * stepMs;
    yield* ask({ start: range.start, end: middle }, options);
    yield* ask({ start: middle + stepMs, end: range.end }, options);
  }
}

async function askPersistently(
  range: Range,
  options: PrometheusHistoryOptions,
): Promise<readonly Series[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await askOnce(range, options);
    } catch (error) {
      const again = error instanceof HistoryError && error.kind === "unavailable";
      if (!again || attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * attempt));
    }
  }
}

async function askOnce(
  { start, end }: Range,
  { access, stepSeconds, answerBytesMax = ANSWER_BYTES_MAX }: PrometheusHistoryOptions,
): Promise<readonly Series[]> {
  const form = new URLSearchParams({
    query: EXPRESSION,
    start: String(start / 1000),
    end: String(end / 1000),
    step: String(stepSeconds),
  });
  const { status, text } = await exchange(`${access.url}/api/v1/query_range`, {
    method: "POST",
    body: form,
    headers: prometheusHeaders(access),
    signal: AbortSignal.timeout(TIMEOUT_MS),
    tls: followTlsFiles(access.tls, { owner: "Prometheus" })(),
    bytesMax: answerBytesMax,
  }).catch((error: unknown) => {
    if (error instanceof TooLarge) throw new HistoryError("too large", error.message);
    const why = `Prometheus cannot be reached: ${messageOf(error)}`;
    throw new HistoryError("unavailable", why, error);
  });
  if (status === 429 || status >= 500)
    throw new HistoryError("unavailable", `Prometheus answered ${status}`);
  const answer = status === 200 ? matrixSchema.safeParse(parseJson(text)) : undefined;
  if (answer?.success !== true)
    throw new HistoryError(
      "refused",
      `Prometheus answered ${status}${status === 200 ? ", but no complete matrix" : `: ${text.slice(0, 200)}`}`,
    );
  return answer.data.data.result;
}
