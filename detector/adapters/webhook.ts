import type { Secret } from "../../lib/secret.ts";
import { SIGNATURE_HEADER, signBody, TIMESTAMP_HEADER } from "../../lib/signature.ts";
import { systemClock } from "../../lib/clock.ts";
import { PostError } from "../faults.ts";
import type { AlertPoster } from "../types.ts";

const TIMEOUT_MS = 10_000;

export interface WebhookOptions {
  readonly url: string;
  readonly secret: Secret | undefined;
  readonly timeoutMs?: number;
}

/**
 * Posts alert frames, signed with a timestamp. The timestamp is the wall clock's even when the detector runs on an
 * accelerated one: the receiver compares it with its own. `traceparent` is added by the fetch instrumentation, which is
 * loaded whenever tracing is on; adding it here as well would send it twice.
 */
export function connectWebhook({ url, secret, timeoutMs }: WebhookOptions): AlertPoster {
  return {
    post: async (frame, signal) => {
      const body = JSON.stringify(frame);
      const timeout = AbortSignal.timeout(timeoutMs ?? TIMEOUT_MS);
      const response = await send(url, {
        method: "POST",
        body,
        redirect: "error",
        signal: AbortSignal.any([signal, timeout]),
        headers: { "content-type": "application/json", ...signatureOf(secret, body) },
      });
      await response.body?.cancel();
      if (!response.ok) throw refusalOf(response.status);
    },
  };
}

async function send(url: string, request: RequestInit): Promise<Response> {
  try {
    return await fetch(url, request);
  } catch (error) {
    throw new PostError("unavailable", "the webhook does not answer", { cause: error });
  }
}

function signatureOf(secret: Secret | undefined, body: string): Readonly<Record<string, string>> {
  if (secret === undefined) return {};
  const timestamp = Math.floor(systemClock.now().getTime() / 1000);
  return {
    [TIMESTAMP_HEADER]: String(timestamp),
    [SIGNATURE_HEADER]: signBody(secret.reveal(), timestamp, body),
  };
}

/** A wrong key (401, 403) can be put right while we wait; a body that is refused will be refused again. */
function refusalOf(status: number): PostError {
  const final = status >= 400 && status < 500 && ![401, 403, 404, 408, 429].includes(status);
  return new PostError(final ? "refused" : "unavailable", `the webhook answered ${status}`);
}
