import { readStart, refusalOf } from "../../lib/receiver-answer.ts";
import { sendTrusting } from "../../lib/send-trusting.ts";
import type { TlsOptions } from "../../lib/tls-options.ts";
import { PostError } from "../faults.ts";

const TIMEOUT_MS = 10_000;

export interface JsonPost {
  /** Often a secret: it never stands in an error. */
  readonly url: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly timeoutMs?: number | undefined;
  /** Certificates to be used instead of the system's. */
  readonly trust?: TlsOptions | undefined;
}

/**
 * Posts a JSON text, without following redirects.
 *
 * @param receiver how it is called in errors
 * @returns the text of a 2xx answer
 * @throws PostError
 */
export async function postJson(receiver: string, request: JsonPost): Promise<string> {
  const { url, body, timeoutMs = TIMEOUT_MS, trust } = request;
  const sent = {
    method: "POST",
    body,
    signal: AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]),
    headers: { "content-type": "application/json", ...request.headers },
  };
  let response: Response;
  let text: string;
  try {
    response =
      trust === undefined
        ? await fetch(url, { ...sent, redirect: "error" })
        : await sendTrusting(url, sent, trust);
    text = await readStart(response);
  } catch (error) {
    throw new PostError("unavailable", `${receiver} does not answer`, { cause: error });
  }
  if (response.ok) return text;
  const { kind, message, retryAfterMs } = refusalOf(receiver, response, text);
  throw new PostError(kind, message, { retryAfterMs });
}
