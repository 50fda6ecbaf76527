import type { Clock } from "../../../clock.ts";
import { codeOf, messageOf } from "../../../error.ts";
import { createRedactor } from "../../../redact.ts";
import { Secret } from "../../../secret.ts";
import { answerMs } from "../pace.ts";
import { ServiceFailure } from "../vendor-error.ts";

/** Where access tokens come from. */
export interface Tokens {
  /** @param isRefused the one that was given last was not accepted: a new one, or a ServiceFailure */
  get(signal: AbortSignal, isRefused: boolean): Promise<string>;
  /** What must stand in no message, whoever puts it there. */
  readonly secrets: readonly Secret[];
}

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly signal: AbortSignal;
  /** False of an address that is itself the permission: a token must not go there. */
  readonly isAuthorized?: boolean;
  /** Answers besides 2xx that are none of failure. */
  readonly accept?: readonly number[];
  /** False: whoever calls tries again by himself, as some of it may have arrived. */
  readonly isRepeatable?: boolean;
}

/** What a service says about its failure, from the body of its answer. */
interface Said {
  readonly code: string;
  readonly text: string;
  /** Where it follows from the code and not from the status. */
  readonly kind?: ServiceFailure["kind"] | undefined;
}

export interface ServiceDeps {
  /** In messages: "Dropbox". */
  readonly service: string;
  readonly tokens: Tokens;
  readonly explain: (status: number, body: string) => Said;
  readonly clock: Clock;
}

export type Send = (address: string, call: Call) => Promise<Response>;

const TRIES = 3;
const FIRST_WAIT_MS = 200;
/** A service that asks for more is left to the next run. */
const WAIT_MAX_MS = 30_000;
const EXPLANATION_CHARACTERS_MAX = 200;
const EXPLANATION_BYTES_MAX = 64 * 1024;

/**
 * Asks a service over HTTP: with a token that is renewed once when it is refused, again after failures in passing, after
 * `Retry-After` if the service says so. Redirects are answers. Every failure is a {@link ServiceFailure} without secrets.
 */
export function createSender(deps: ServiceDeps): Send {
  return async (address, call) => {
    const once = async () => authorized(address, call, deps);
    return call.isRepeatable === false ? once() : withRetries(once, call.signal, deps.clock);
  };
}

/**
 * Up to three times, as long as the failure may pass. `work` gets the number of failures before.
 *
 * @throws the last failure; one that may still pass says that it is for later
 */
export async function withRetries<T>(
  work: (failures: number) => Promise<T>,
  signal: AbortSignal,
  clock: Clock,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await work(failures);
    } catch (error) {
      const waitMs = waitAfter(error, failures);
      if (signal.aborted) throw error;
      if (waitMs === undefined) throw forLater(error);
      await clock.sleep(waitMs, signal);
    }
  }
}

/** Undefined: not again. */
function waitAfter(error: unknown, failures: number): number | undefined {
  if (!(error instanceof ServiceFailure) || error.kind !== "unavailable" || error.later)
    return undefined;
  const { waitMs = FIRST_WAIT_MS * 2 ** failures } = error;
  return failures + 1 >= TRIES || waitMs > WAIT_MAX_MS ? undefined : waitMs;
}

/** A 409 is about this one upload: begun anew, it may do. */
function forLater(error: unknown): unknown {
  if (!(error instanceof ServiceFailure) || error.kind !== "unavailable" || error.status === 409)
    return error;
  const { kind, message, status, code, waitMs } = error;
  return new ServiceFailure(kind, message, { status, code, waitMs, later: true });
}

async function authorized(address: string, call: Call, deps: ServiceDeps): Promise<Response> {
  if (call.isAuthorized === false) return judged(await ask(address, call, {}, deps), call, deps);
  for (const isRefused of [false, true]) {
    const token = await tokenFrom(deps, call.signal, isRefused);
    const response = await ask(address, call, { authorization: `Bearer ${token}` }, deps);
    if (response.status === 401 && !isRefused) await response.body?.cancel();
    else return judged(response, call, deps, token);
  }
  throw new ServiceFailure("refused", `${deps.service} accepts no token`, { status: 401 });
}

/** A login server may repeat what it was sent. */
async function tokenFrom(
  { tokens }: ServiceDeps,
  signal: AbortSignal,
  isRefused: boolean,
): Promise<string> {
  try {
    return await tokens.get(signal, isRefused);
  } catch (error) {
    if (!(error instanceof ServiceFailure)) throw error;
    throw new ServiceFailure(error.kind, createRedactor(tokens.secrets)(error.message));
  }
}

async function ask(
  address: string,
  { method, headers = {}, body, signal }: Call,
  authorization: Readonly<Record<string, string>>,
  { service }: ServiceDeps,
): Promise<Response> {
  const silent = new AbortController();
  const limitMs = answerMs(body?.length ?? 0);
  const timer = setTimeout(() => {
    silent.abort();
  }, limitMs);
  try {
    return await fetch(address, {
      method,
      headers: { ...headers, ...authorization },
      body: body === undefined ? null : typeof body === "string" ? body : new Uint8Array(body),
      redirect: "manual",
      signal: AbortSignal.any([signal, silent.signal]),
    });
  } catch (error) {
    // The address stays out of it: it may be the permission itself.
    if (signal.aborted) throw new ServiceFailure("unavailable", "given up");
    if (silent.signal.aborted)
      throw new ServiceFailure(
        "unavailable",
        `no answer of ${service} in ${Math.round(limitMs / 1000)} s`,
      );
    const { cause } = error as Error;
    const why = [codeOf(cause), messageOf(cause ?? error)].filter((word) => word !== "");
    throw new ServiceFailure("unavailable", `no answer of ${service}: ${why.join(" ")}`);
  } finally {
    clearTimeout(timer);
  }
}

async function judged(
  response: Response,
  { accept = [] }: Call,
  { service, tokens, explain, clock }: ServiceDeps,
  token = "",
): Promise<Response> {
  const { status, headers } = response;
  if (response.ok || accept.includes(status)) return response;
  const { code, text, kind = kindOf(status) } = explain(status, await startOf(response));
  const clean = createRedactor([...tokens.secrets, new Secret(token)]);
  const words = [`${service} says ${status}`, code, text].filter((word) => word !== "");
  const message = clean(words.join(" ")).slice(0, EXPLANATION_CHARACTERS_MAX);
  const waitMs = retryAfter(headers.get("retry-after"), clock);
  throw new ServiceFailure(kind, message, {
    status,
    code,
    ...(waitMs === undefined ? {} : { waitMs }),
  });
}

/** Of the body, which may be a page of a portal and without end. */
async function startOf({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
      parts.push(part);
      bytes += part.byteLength;
      if (bytes > EXPLANATION_BYTES_MAX) break;
    }
  } catch {
    // The status is known, and says enough.
  }
  return Buffer.concat(parts).toString("utf8");
}

/** A full store (507) is no failure that passes, whatever the first digit says. */
function kindOf(status: number): ServiceFailure["kind"] {
  if (status === 412) return "exists";
  if (status < 400 || [408, 409, 416, 423, 429].includes(status)) return "unavailable";
  return status >= 500 && ![501, 507].includes(status) ? "unavailable" : "refused";
}

/** RFC 9110: seconds, or a date. */
function retryAfter(value: string | null, clock: Clock): number | undefined {
  if (value === null) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - clock.now().getTime());
}
