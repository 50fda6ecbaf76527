import { systemClock } from "../../lib/clock.ts";
import type { Secret } from "../../lib/secret.ts";
import { SIGNATURE_HEADER, signBody, TIMESTAMP_HEADER } from "../../lib/signature.ts";
import { frameOf } from "../alert.ts";
import type { Channel } from "../types/delivery.ts";
import { postJson } from "./post-json.ts";

export interface WebhookOptions {
  readonly url: string;
  readonly secret: Secret | undefined;
  readonly timeoutMs?: number;
  readonly link?: (id: string) => string | undefined;
}

/**
 * Posts alert frames to the runbooks service, signed with a timestamp. The timestamp is the wall clock's even when the
 * detector runs on an accelerated one: the receiver compares it with its own. `traceparent` is added by the fetch
 * instrumentation, which is loaded whenever tracing is on; adding it here as well would send it twice.
 */
export function connectWebhook({ url, secret, timeoutMs, link }: WebhookOptions): Channel {
  return {
    name: "runbooks",
    post: async (anomaly, status, signal) => {
      const body = JSON.stringify(frameOf(anomaly, status, link?.(anomaly.id)));
      const headers = signatureOf(secret, body);
      await postJson("the webhook", { url, body, headers, signal, timeoutMs });
    },
  };
}

function signatureOf(secret: Secret | undefined, body: string): Readonly<Record<string, string>> {
  if (secret === undefined) return {};
  const timestamp = Math.floor(systemClock.now().getTime() / 1000);
  return {
    [TIMESTAMP_HEADER]: String(timestamp),
    [SIGNATURE_HEADER]: signBody(secret.reveal(), timestamp, body),
  };
}
