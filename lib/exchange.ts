import { sendTrusting } from "./send-trusting.ts";
import type { TlsOptions } from "./tls-options.ts";

interface Exchange {
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | URLSearchParams;
  readonly signal: AbortSignal;
  /** Certificates to be used instead of the system's. */
  readonly tls?: TlsOptions;
  /** Of the answer; what the server says about its length is not believed. */
  readonly bytesMax: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** The answer is longer than it may be. */
export class TooLarge extends Error {
  override readonly name = "TooLarge";
}

/**
 * Asks a configured server, and reads its whole answer. Follows no redirect, so that a credential goes to that server only.
 *
 * @throws TooLarge; else whatever the network says
 */
export async function exchange(address: string, request: Exchange): Promise<Answer> {
  const { method = "GET", headers = {}, body, signal, tls = {}, bytesMax } = request;
  const form = body instanceof URLSearchParams;
  const sent = {
    method,
    signal,
    headers: {
      ...(form ? { "content-type": "application/x-www-form-urlencoded" } : {}),
      ...headers,
    },
    ...(body === undefined ? {} : { body: String(body) }),
  };
  const trusting = Object.values(tls).some((text) => text !== undefined);
  const response = trusting
    ? await sendTrusting(address, sent, tls)
    : await fetch(address, { ...sent, redirect: "error" });
  return {
    status: response.status,
    headers: response.headers,
    text: await readBounded(response.body ?? [], bytesMax),
  };
}

/** @throws TooLarge */
export async function readBounded(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  bytesMax: number,
): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.byteLength;
    if (bytes > bytesMax) throw new TooLarge(`the answer is longer than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
