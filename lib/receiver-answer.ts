import { systemClock } from "./clock.ts";

/** What a receiver says is only read for its reason. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** A receiver cannot silence us for longer. */
const RETRY_AFTER_MAX_MS = 3_600_000;

/** Why a receiver did not take a message: `refused` is final (it never will), `unavailable` is not. */
export interface Refusal {
  readonly kind: "refused" | "unavailable";
  readonly message: string;
  /** How long the receiver wants to be left alone; 0 when it did not say. */
  readonly retryAfterMs: number;
}

/** What is needed of an answer, whichever client it came by. */
interface Answer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
}

/** The first 64 kB of a body as text; the rest is not read. */
export async function readStart({ body }: { readonly body: unknown }): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (body === null) return "";
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= ANSWER_BYTES_MAX) break; // leaving the loop ends the connection
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString("utf8");
}

/**
 * What an answer that is not a success means. A wrong key or address (401, 403, 404) can be put right while we wait; a body
 * that is refused will be refused again.
 *
 * @param receiver how it is called in errors
 */
export function refusalOf(receiver: string, { status, headers }: Answer, text: string): Refusal {
  const final = status >= 400 && status < 500 && ![401, 403, 404, 408, 429].includes(status);
  const said = text.replace(/\s+/g, " ").trim().slice(0, 200);
  return {
    kind: final ? "refused" : "unavailable",
    message: `${receiver} answered ${status}${said === "" ? "" : `: ${said}`}`,
    retryAfterMs: retryAfterOf(headers.get("retry-after"), text),
  };
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
