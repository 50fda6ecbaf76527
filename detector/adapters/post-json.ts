import { systemClock } from "../../lib/clock.ts";
import { PostError } from "../faults.ts";
import { sendTrusting } from "./send-trusting.ts";
import type { TlsOptions } from "./tls-options.ts";

const TIMEOUT_MS = 10_000;
/** What a receiver says is only read for its reason. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** A receiver cannot silence us for longer. */
const RETRY_AFTER_MAX_MS = 3_600_000;

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
  if (!response.ok) throw refusalOf(receiver, response, text);
  return text;
}

async function readStart(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (response.body === null) return "";
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= ANSWER_BYTES_MAX) break; // leaving the loop ends the connection
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString("utf8");
}

/** A wrong key or address (401, 403, 404) can be put right while we wait; a body that is refused will be refused again. */
function refusalOf(receiver: string, { status, headers }: Response, text: string): PostError {
  const final = status >= 400 && status < 500 && ![401, 403, 404, 408, 429].includes(status);
  const said = text.replace(/\s+/g, " ").trim().slice(0, 200);
  return new PostError(
    final ? "refused" : "unavailable",
    `${receiver} answered ${status}${said === "" ? "" : `: ${said}`}`,
    { retryAfterMs: retryAfterOf(headers.get("retry-after"), text) },
  );
}

/** Seconds or a date in the header; Discord also says `retry_after` in the body, with a fraction. */
function retryAfterOf(header: string | null, text: string): number {
  const inBody = /"retry_after"\s*:\s*(\d+(?:\.\d+)?)/.exec(text)?.[1];
  const seconds = Number(header ?? inBody ?? "");
  const ms = Number.isNaN(seconds)
    ? Date.parse(header ?? "") - systemClock.now().getTime()
    : seconds * 1000;
  return Number.isNaN(ms) ? 0 : Math.min(RETRY_AFTER_MAX_MS, Math.max(0, ms));
}
