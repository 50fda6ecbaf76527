import { lookup as resolveName } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { Agent, fetch, type Response } from "undici";
import { isPublicAddress } from "./public-address.ts";
import { readStart, refusalOf } from "./receiver-answer.ts";

const TIMEOUT_MS = 10_000;

/** Why a message was not taken: `refused` is final (the receiver will never take it), `unavailable` is not. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  readonly kind: "refused" | "unavailable";
  /** How long the receiver wants to be left alone; 0 when it did not say. */
  readonly retryAfterMs: number;

  constructor(
    kind: "refused" | "unavailable",
    message: string,
    options: ErrorOptions & { readonly retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}

export interface JsonPost {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH";
  /** Often a secret: it never stands in an error. */
  readonly url: string;
  /** Undefined for a GET. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
  /** Host names that the operator calls internal: plain http and addresses that are not public are allowed for them. */
  readonly internalHosts?: readonly string[];
}

/**
 * Sends a JSON text by https to a public address, without following redirects. The address that was checked is the one
 * that is connected to, so that a name which changes its address in between gains nothing.
 *
 * @param receiver how it is called in errors
 * @returns the text of a 2xx answer
 * @throws DeliveryError
 */
export async function postJson(receiver: string, request: JsonPost): Promise<string> {
  const { method = "POST", url, body, headers, timeoutMs = TIMEOUT_MS } = request;
  const internal = isInternal(receiver, request);
  const agent = new Agent(internal ? {} : { connect: { lookup: lookupPublic } });
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      body: body ?? null,
      headers: { "content-type": "application/json", ...headers },
      redirect: "error",
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]),
      dispatcher: agent,
    });
    text = await readStart(response);
  } catch (error) {
    throw new DeliveryError("unavailable", `${receiver} does not answer`, { cause: error });
  } finally {
    await agent.destroy();
  }
  if (response.ok) return text;
  const { kind, message, retryAfterMs } = refusalOf(receiver, response, text);
  throw new DeliveryError(kind, message, { retryAfterMs });
}

/** @throws DeliveryError for an address that is never sent to */
function isInternal(receiver: string, { url, internalHosts = [] }: JsonPost): boolean {
  const { protocol, hostname } = URL.parse(url) ?? { protocol: "", hostname: "" };
  if (internalHosts.includes(hostname)) return true;
  if (protocol !== "https:")
    throw new DeliveryError("refused", `${receiver}: its address must begin with https://`);
  const literal = hostname.replace(/^\[(.*)\]$/, "$1"); // names are looked up, addresses are not
  if (isIP(literal) !== 0 && !isPublicAddress(literal))
    throw new DeliveryError("refused", `${receiver}: its address is not public`);
  return false;
}

/** Resolves to public addresses only. */
const lookupPublic: LookupFunction = (hostname, options, callback) => {
  resolveName(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) {
      callback(error, "", 0);
      return;
    }
    const [first] = addresses;
    if (first === undefined) {
      callback(new Error("the name has no address"), "", 0);
    } else if (!addresses.every(({ address }) => isPublicAddress(address))) {
      callback(new Error("the name has an address that is not public"), "", 0);
    } else if (options.all === true) {
      callback(null, addresses);
    } else {
      callback(null, first.address, first.family);
    }
  });
};
