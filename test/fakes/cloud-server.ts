import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { StoreFault } from "./s3.ts";

/** What a drive's stand-in does with requests to its interface; those for tokens stay as they are. */
type DriveFault =
  | StoreFault
  /** So many answers are this one, and then all is well. */
  | {
      readonly kind: "passing";
      readonly status: number;
      readonly code: string;
      readonly times: number;
      readonly retryAfterSeconds?: number;
    }
  /** The connection ends in the middle of the next request with so many bytes and more. Once. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** The next chunk is taken, and the answer to it does not come. Once. */
  | { readonly kind: "unanswered" }
  /** Hashes are not told. */
  | { readonly kind: "hashless" };

interface Logged {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly hasToken: boolean;
  readonly range: string;
  readonly bytes: number;
  readonly atMs: number;
}

/** What every stand-in of a drive has. */
export interface FakeDrive {
  readonly url: string;
  readonly log: readonly Logged[];
  readonly setFault: (fault: DriveFault) => void;
  /** Every access token that was given is worth nothing from now on. */
  readonly expireTokens: () => void;
  readonly tokensGiven: () => number;
  /** Uploads that were neither finished nor cancelled. */
  readonly openUploads: () => number;
  /** What is stored now, by path or name. */
  readonly files: () => ReadonlyMap<string, Buffer>;
  readonly stop: () => Promise<void>;
}

export interface Received {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  readonly origin: string;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | Buffer | null;
}

export interface Handlers {
  readonly answer: (received: Received, state: CloudState) => Reply;
  /** What arrived of a request that was cut. */
  readonly cut?: (received: Received) => void;
  readonly refusal: (status: number, code: string) => Reply;
  /** Requests that the faults leave alone, and that are no chunks. */
  readonly isForTokens: (path: string) => boolean;
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface CloudState {
  fault: DriveFault;
  readonly tokens: Set<string>;
  tokensGiven: number;
  readonly log: Logged[];
}

export function newState(): CloudState {
  return { fault: { kind: "none" }, tokens: new Set(), tokensGiven: 0, log: [] };
}

/** An access token that is worth something until `expireTokens`. */
export function giveToken(state: CloudState): string {
  const token = `at-${randomUUID()}`;
  state.tokens.add(token);
  state.tokensGiven += 1;
  return token;
}

export function isAuthorized({ headers }: Received, { tokens }: CloudState): boolean {
  const [, token = ""] = /^Bearer (.+)$/.exec(headers.authorization ?? "") ?? [];
  return tokens.has(token);
}

/** Changed on its way, where that is the fault. */
export function arrived(content: Buffer, { fault }: CloudState): Buffer {
  if (fault.kind !== "corrupt" || content.length === 0) return content;
  const changed = Buffer.from(content);
  changed.writeUInt8((changed[0] ?? 0) ^ 1, 0);
  return changed;
}

export async function startCloudServer(
  state: CloudState,
  handlers: Handlers,
): Promise<{ url: string; stop: () => Promise<void> }> {
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request; // it is no longer there once the request has broken off
    serve(request, response, state, handlers).catch(() => socket.destroy());
  };
  const { tls } = handlers;
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http${tls === undefined ? "" : "s"}://127.0.0.1:${port}`,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  state: CloudState,
  handlers: Handlers,
): Promise<void> {
  const { method = "", headers, socket } = request;
  const origin = `http://${headers.host ?? ""}`;
  const url = new URL(request.url ?? "/", origin);
  const { body, isCut } = await bodyOf(request, state);
  const received = { method, url, headers, body, origin };
  if (isCut) {
    handlers.cut?.(received);
    log(state, received, 0);
    socket.destroy();
    return;
  }
  const reply = replyTo(received, state, handlers);
  log(state, received, reply.status);
  if (state.fault.kind === "unanswered" && body.length > 0 && isChunk(url)) {
    state.fault = { kind: "none" };
    socket.destroy();
  } else send(response, reply);
}

async function bodyOf(request: IncomingMessage, state: CloudState) {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    parts.push(part);
    bytes += part.length;
    if (state.fault.kind !== "cut" || bytes < state.fault.afterBytes) continue;
    const body = Buffer.concat(parts).subarray(0, state.fault.afterBytes);
    state.fault = { kind: "none" };
    return { body, isCut: true };
  }
  return { body: Buffer.concat(parts), isCut: false };
}

function send(response: ServerResponse, { status, headers, body = null }: Reply): void {
  const isJson = body !== null && !Buffer.isBuffer(body);
  response.writeHead(status, {
    ...(isJson ? { "content-type": "application/json" } : {}),
    ...headers,
  });
  response.end(isJson ? JSON.stringify(body) : body);
}

/** Google's, Dropbox' and Microsoft's uploads. */
function isChunk({ pathname, searchParams }: URL): boolean {
  return /upload_session\/(append|finish)|^\/up\//.test(pathname) || searchParams.has("upload_id");
}

function replyTo(received: Received, state: CloudState, handlers: Handlers): Reply {
  const { fault } = state;
  if (handlers.isForTokens(received.url.pathname)) return handlers.answer(received, state);
  if (fault.kind === "status") return handlers.refusal(fault.status, fault.code);
  if (fault.kind !== "passing") return handlers.answer(received, state);
  const { status, code, times, retryAfterSeconds: wait } = fault;
  state.fault = times <= 1 ? { kind: "none" } : { ...fault, times: times - 1 };
  const headers = wait === undefined ? {} : { "retry-after": String(wait) };
  return { ...handlers.refusal(status, code), headers };
}

function log(state: CloudState, { method, url, headers, body }: Received, status: number): void {
  state.log.push({
    method,
    path: url.pathname,
    status,
    hasToken: headers.authorization !== undefined,
    range: headers["content-range"] ?? "",
    bytes: body.length,
    atMs: performance.now(),
  });
}

/** What the stand-ins of drives have in common, over one state. */
export function driveOf(
  state: CloudState,
  more: Pick<FakeDrive, "url" | "files" | "openUploads" | "stop">,
): FakeDrive {
  return {
    ...more,
    log: state.log,
    setFault: (fault) => {
      state.fault = fault;
    },
    expireTokens: () => {
      state.tokens.clear();
    },
    tokensGiven: () => state.tokensGiven,
  };
}
