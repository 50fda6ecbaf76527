import { setTimeout as sleep } from "node:timers/promises";

/** One attempt to deliver. `status` is undefined when no answer came: refused, reset, or too late. */
export interface Attempt {
  readonly status: number | undefined;
  readonly retryAfter: string | null;
  readonly answer: string;
  readonly milliseconds: number;
}

const ATTEMPT_TIMEOUT_MS = 10_000; // the timeout that our documentation gives Alertmanager

/** What Alertmanager does with one notification, once. */
export async function attemptDelivery(
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<Attempt> {
  const start = performance.now();
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers },
      redirect: "manual",
      signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
    });
    const retryAfter = response.headers.get("retry-after");
    const answer = await response.text();
    return {
      status: response.status,
      retryAfter,
      answer,
      milliseconds: performance.now() - start,
    };
  } catch {
    const milliseconds = performance.now() - start;
    return { status: undefined, retryAfter: null, answer: "", milliseconds };
  }
}

/**
 * Delivers as Alertmanager does: the same bytes again and again on 5xx and network errors, until there is a 2xx; any other
 * answer is final (`notify.Retrier`).
 */
export async function deliverUntilAccepted(
  attempt: () => Promise<Attempt>,
  { giveUpAfterMs = 60_000, pauseMs = 250 } = {},
): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = [];
  const deadline = performance.now() + giveUpAfterMs;
  while (performance.now() < deadline) {
    const last = await attempt();
    attempts.push(last);
    if (last.status !== undefined && last.status < 500) return attempts;
    await sleep(pauseMs);
  }
  throw new Error(`not accepted within ${giveUpAfterMs} ms: ${JSON.stringify(attempts.at(-1))}`);
}

/**
 * Delivers as Alertmanager does, and returns the last attempt. A service whose event loop was late refuses with 503 (it is right
 * to, and a busy machine makes it so), so a test that is about the answer itself sends in this way.
 */
export async function deliver(
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<Attempt> {
  const attempts = await deliverUntilAccepted(async () => attemptDelivery(url, body, headers));
  return attempts.at(-1) as Attempt;
}
