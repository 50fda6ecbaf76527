import { DeliveryError, postJson } from "../../../lib/post-json.ts";
import type { Secret } from "../../../lib/secret.ts";

export interface SlackAccess {
  /** Slack's Web API, without the method. */
  readonly apiUrl: string;
  readonly token: Secret;
  readonly internalHosts: readonly string[];
  readonly timeoutMs?: number;
}

export type SlackCall = SlackAccess & { readonly signal: AbortSignal };

/** What Slack may take another time; everything else that it refuses it will refuse again. */
const PASSING = [
  "ratelimited",
  "rate_limited",
  "internal_error",
  "fatal_error",
  "service_unavailable",
  "request_timeout",
];

/** Nothing in a message may make Slack fetch an address. */
export function quiet(text: string): object {
  return { text, unfurl_links: false, unfurl_media: false };
}

/** What is read of an answer. */
export interface SlackAnswer {
  readonly ok?: boolean;
  readonly error?: string;
  readonly ts?: string;
  readonly channel?: string;
  readonly user?: string;
  readonly team?: string;
  readonly messages?: readonly {
    readonly ts?: string;
    readonly metadata?: { readonly event_payload?: { readonly run_id?: unknown } };
  }[];
}

/** HTTP 200 with `ok: false`. */
export class SlackRefusal extends DeliveryError {
  readonly word: string;

  constructor(method: string, word: string) {
    super(PASSING.includes(word) ? "unavailable" : "refused", `Slack refused ${method}: ${word}`);
    this.word = word;
  }
}

/** An answer that was cut, or is no JSON at all. */
export class UnreadableAnswer extends DeliveryError {}

/**
 * Calls one method.
 *
 * @throws SlackRefusal for HTTP 200 with `ok: false`, DeliveryError for everything else
 */
export async function askSlack(
  method: string,
  body: object,
  call: SlackCall,
): Promise<SlackAnswer> {
  const { apiUrl, token, signal, timeoutMs, internalHosts } = call;
  const form = method === "conversations.history";
  const text = await postJson("Slack", {
    url: `${apiUrl.replace(/\/+$/, "")}/${method}`,
    body: form
      ? new URLSearchParams(body as Record<string, string>).toString()
      : JSON.stringify(body),
    headers: {
      authorization: `Bearer ${token.reveal()}`,
      "content-type": form
        ? "application/x-www-form-urlencoded"
        : "application/json; charset=utf-8",
    },
    signal,
    internalHosts,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  const answer = parse(text);
  if (answer.ok !== true)
    throw new SlackRefusal(method, (answer.error ?? "no reason").slice(0, 80));
  return answer;
}

function parse(text: string): SlackAnswer {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === "object" && answer !== null ? answer : {};
  } catch (error) {
    throw new UnreadableAnswer("unavailable", "Slack's answer is no JSON", { cause: error });
  }
}
