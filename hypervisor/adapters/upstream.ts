import {
  bulkhead,
  BulkheadRejectedError,
  circuitBreaker,
  CircuitState,
  ConsecutiveBreaker,
  handleWhen,
  isBrokenCircuitError,
  wrap,
} from "cockatiel";
import { Counter, Gauge, type Registry } from "prom-client";
import type { PrometheusAccess } from "../../lib/access.ts";
import { messageOf } from "../../lib/error.ts";
import { exchange, TooLarge } from "../../lib/exchange.ts";
import type { Log } from "../../lib/log.ts";
import { parseJson } from "../../lib/parse-json.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { prometheusHeaders } from "../../lib/prometheus-access.ts";
import { followTlsFiles } from "../../lib/tls-options.ts";

const TIMEOUT_MS = 10_000;
/** After so many failures in a row nobody is asked for a while: the callers get their answer at once. */
const FAILURES_MAX = 5;
const OPEN_MS = 10_000;
const AT_ONCE_MAX = 16;
const WAITING_MAX = 256;
const SAID_MAX = 300;

export interface UpstreamMetrics {
  readonly requests: Counter<"upstream" | "outcome">;
  readonly open: Gauge<"upstream">;
}

export function createUpstreamMetrics(registry: Registry): UpstreamMetrics {
  return {
    requests: new Counter({
      name: "arm_hypervisor_upstream_requests_total",
      help: "Requests to Prometheus, Loki and Grafana by how they ended",
      labelNames: ["upstream", "outcome"],
      registers: [registry],
    }),
    open: new Gauge({
      name: "arm_hypervisor_upstream_circuit_open",
      help: "1 while an upstream is not asked because it has failed",
      labelNames: ["upstream"],
      registers: [registry],
    }),
  };
}

export interface UpstreamDeps {
  /** For people: `Loki`. */
  readonly name: string;
  readonly log: Log;
  readonly metrics: UpstreamMetrics;
  /** Of one answer. */
  readonly bytesMax: number;
  readonly timeoutMs?: number;
  readonly openMs?: number;
}

/** Posts a form, or gets; gives the answer's JSON. @throws HttpProblem 400 with what it says, 502, 503, 504 */
export type Ask = (
  path: string,
  form: Readonly<Record<string, string>> | undefined,
  signal?: AbortSignal,
) => Promise<unknown>;

/** A configured server that answers JSON: with a deadline, a largest answer, so many questions at once, and a circuit breaker. */
export function openUpstream(access: PrometheusAccess | undefined, deps: UpstreamDeps): Ask {
  const { name, log, metrics, openMs = OPEN_MS } = deps;
  if (access === undefined) {
    const detail = `${name} is not configured here.`;
    return async () => Promise.reject(new HttpProblem(503, "Not configured", detail));
  }
  const breaker = circuitBreaker(handleWhen(isTheirFault), {
    halfOpenAfter: openMs,
    breaker: new ConsecutiveBreaker(FAILURES_MAX),
  });
  breaker.onStateChange((state) => {
    metrics.open.set({ upstream: name }, state === CircuitState.Open ? 1 : 0);
    log.warn("circuit", { upstream: name, state: CircuitState[state] });
  });
  metrics.open.set({ upstream: name }, 0);
  const policy = wrap(bulkhead(AT_ONCE_MAX, WAITING_MAX), breaker);
  const send = senderTo(access, deps);
  return async (path, form, signal) => {
    try {
      const answer = await policy.execute(async () => send(path, form, signal));
      metrics.requests.inc({ upstream: name, outcome: "answered" });
      return answer;
    } catch (error) {
      const problem = problemOf(error, name, openMs);
      metrics.requests.inc({ upstream: name, outcome: String(problem.status) });
      throw problem;
    }
  };
}

function isTheirFault(error: unknown): boolean {
  return error instanceof HttpProblem && error.status >= 502;
}

function problemOf(error: unknown, name: string, openMs: number): HttpProblem {
  if (error instanceof HttpProblem) return error;
  const busy = error instanceof BulkheadRejectedError;
  if (busy || isBrokenCircuitError(error)) {
    const detail = busy
      ? `Too many questions wait for ${name}.`
      : `${name} has not answered lately.`;
    return new HttpProblem(503, "Temporarily unavailable", detail, {
      "Retry-After": String(Math.ceil(openMs / 1000)),
    });
  }
  return new HttpProblem(502, "Bad gateway", `${name} cannot be asked.`);
}

function senderTo(access: PrometheusAccess, deps: UpstreamDeps): Ask {
  const { name, log, bytesMax, timeoutMs = TIMEOUT_MS } = deps;
  const tls = followTlsFiles(access.tls, { owner: name, log });
  return async (path, form, signal) => {
    const deadline = AbortSignal.timeout(timeoutMs);
    const { status, text } = await exchange(`${access.url.replace(/\/$/, "")}${path}`, {
      method: form === undefined ? "GET" : "POST",
      headers: { accept: "application/json", ...prometheusHeaders(access) },
      ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
      signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
      tls: tls(),
      bytesMax,
    }).catch((error: unknown) => {
      throw failureOf(error, { ...deps, timeoutMs, late: deadline.aborted, left: signal?.aborted });
    });
    const answer = parseJson(text);
    if (status === 200 && answer !== undefined) return answer;
    throw refusalOf(status, saidIn(answer, text), name);
  };
}

interface Circumstances extends UpstreamDeps {
  readonly timeoutMs: number;
  readonly late: boolean;
  readonly left: boolean | undefined;
}

function failureOf(error: unknown, { name, log, bytesMax, ...how }: Circumstances): HttpProblem {
  if (error instanceof TooLarge) {
    const detail = `${name}'s answer is longer than ${bytesMax} bytes: ask for less.`;
    return new HttpProblem(422, "Too much", detail);
  }
  if (how.left === true) return new HttpProblem(499, "Client closed request");
  if (how.late) {
    const detail = `${name} did not answer within ${how.timeoutMs / 1000} s.`;
    return new HttpProblem(504, "Gateway timeout", detail);
  }
  log.warn("upstream does not answer", { upstream: name, error: messageOf(error) });
  return new HttpProblem(502, "Bad gateway", `${name} does not answer.`);
}

/** What was asked wrongly is the caller's, and they are told the upstream's words; everything else is not. */
function refusalOf(status: number, said: string, name: string): HttpProblem {
  if (status === 400 || status === 422)
    return new HttpProblem(400, "Bad request", `${name} says: ${said.slice(0, SAID_MAX)}`);
  return new HttpProblem(502, "Bad gateway", `${name} answered ${status}.`);
}

function saidIn(answer: unknown, text: string): string {
  const { error, message } = (answer ?? {}) as {
    readonly error?: unknown;
    readonly message?: unknown;
  };
  const said = [error, message].find((each) => typeof each === "string") ?? text;
  return said.replaceAll(/[\p{Cc}]+/gu, " ");
}
