import { request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Request, Response } from "express";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { prometheusHeaders } from "../../lib/prometheus-access.ts";
import type { TlsOptions } from "../../lib/tls-options.ts";
import type { Caller } from "../frame/caller.ts";
import { addressBelow, type Address } from "./address.ts";
import { requestHeaders, responseHeaders } from "./headers.ts";
import type { ProxyTarget } from "./types.ts";

/** A dashboard with its panels is about 1 MiB. */
const BODY_BYTES_MAX = 8 * 1024 * 1024;
/** Until the answer begins, and between two pieces of it. */
const SILENCE_MS_MAX = 30_000;
const WHOLE_MS_MAX = 5 * 60_000;

export interface Upstream extends ProxyTarget {
  readonly access: NonNullable<ProxyTarget["access"]>;
  readonly tls: () => TlsOptions;
}

export interface ForwardDeps {
  readonly log: Log;
  readonly silenceMs?: number;
}

/** How the request goes out; the same for a plain one and for one that switches protocols. */
export function outgoing(
  target: Upstream,
  caller: Caller,
  request: IncomingMessage,
  { path, query }: Address,
) {
  const base = new URL(target.access.url);
  return {
    base,
    // Put together as texts: a URL's own normalization must not change the path that was judged.
    path: `${base.pathname.replace(/\/$/, "")}${path}${query}`,
    headers: requestHeaders(request.headers, {
      host: base.host,
      ...prometheusHeaders(target.access),
      ...target.identity(caller.principal),
      "x-forwarded-for": caller.ip,
      "x-forwarded-prefix": target.prefix,
      // A body of unknown length stays one: without this the client would send it without a frame.
      ...(request.headers["transfer-encoding"] === undefined
        ? {}
        : { "transfer-encoding": "chunked" }),
      "x-correlation-id": caller.correlationId,
    }),
  };
}

export function send(
  target: Upstream,
  method: string,
  { base, path, headers }: Pick<ReturnType<typeof outgoing>, "base" | "path" | "headers">,
): ClientRequest {
  const request = base.protocol === "https:" ? httpsRequest : httpRequest;
  const { hostname, port, protocol } = base;
  const host = hostname.replace(/^\[|\]$/g, "");
  return request({ protocol, host, port, method, path, headers, ...target.tls() });
}

/** Passes a request on and its answer back, piece by piece. @throws HttpProblem 400, 413, 502, 504 */
export async function forward(
  target: Upstream,
  { caller, request, response }: Exchange,
  deps: ForwardDeps,
): Promise<void> {
  const { silenceMs = SILENCE_MS_MAX } = deps;
  refuseBody(request);
  const out = outgoing(target, caller, request, addressBelow(target.prefix, request.url));
  const sent = send(target, request.method, out);
  const whole = setTimeout(() => sent.destroy(new Error("took too long")), WHOLE_MS_MAX);
  sent.setTimeout(silenceMs, () => sent.destroy(new SilentError()));
  response.once("close", () => sent.destroy());
  try {
    const [answer] = await Promise.all([answerOf(sent), pipeline(request, counter(), sent)]);
    response.removeHeader("content-security-policy"); // ours lets no page of a dashboard live
    response.status(answer.statusCode ?? 502);
    for (const [name, value] of Object.entries(
      responseHeaders(answer.headers, { ...target, ...out }),
    ))
      if (value !== undefined) response.setHeader(name, value);
    await pipeline(answer, response);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else if (!response.destroyed) throw failureOf(error, target, deps.log);
  } finally {
    clearTimeout(whole);
    sent.destroy();
  }
}

/** @throws HttpProblem 400 for a body where servers expect none, and would take it for the next request; 413 */
function refuseBody({ method, headers }: Request): void {
  const length = Number(headers["content-length"] ?? 0);
  const some = length > 0 || headers["transfer-encoding"] !== undefined;
  if (some && ["GET", "HEAD", "OPTIONS", "TRACE"].includes(method))
    throw new HttpProblem(400, "Bad request", `${method} has no body.`);
  if (length > BODY_BYTES_MAX) throw tooLarge();
}

export interface Exchange {
  readonly caller: Caller;
  readonly request: Request;
  readonly response: Response;
}

class SilentError extends Error {}

async function answerOf(sent: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.once("response", resolve);
    sent.once("error", reject);
  });
}

/** Lengths are not believed: what comes is counted. */
function counter(): Transform {
  let bytes = 0;
  return new Transform({
    transform: (piece: Buffer, _encoding, done) => {
      bytes += piece.byteLength;
      if (bytes > BODY_BYTES_MAX) done(tooLarge());
      else done(null, piece);
    },
  });
}

function tooLarge(): HttpProblem {
  return new HttpProblem(413, "Too large", `The body may have ${BODY_BYTES_MAX} bytes.`);
}

export function failureOf(error: unknown, { name }: Pick<ProxyTarget, "name">, log: Log): Error {
  if (error instanceof HttpProblem) return error;
  log.warn("upstream does not answer", { upstream: name, error: messageOf(error) });
  return error instanceof SilentError
    ? new HttpProblem(504, "Gateway timeout", `${name} did not answer in time.`)
    : new HttpProblem(502, "Bad gateway", `${name} does not answer.`);
}
