import { X509Certificate } from "node:crypto";
import { Agent } from "node:https";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { buildConnector, Pool, type Dispatcher } from "undici";
import WebSocket from "ws";
import { z } from "zod";
import { TERMINALS_MAX } from "../bounded-terminals.ts";
import { BackendError } from "../error.ts";

/** Where the daemon listens. Certificates are read at each new connection, so rotated ones are used. */
export type LxdAddress =
  { readonly socket: string } | { readonly url: string; readonly tls: () => LxdTls };

interface LxdTls {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** What LXD said no with: its code is an HTTP status, also where the answer was a failed operation. */
export class LxdError extends Error {
  override readonly name = "LxdError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

interface LxdRequest {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: object;
  readonly ifMatch?: string | undefined;
  readonly signal: AbortSignal;
}

export interface LxdClient {
  /** What stands in `metadata`, as the schema has it. @throws LxdError; BackendError `unavailable` for another shape */
  read<T>(schema: z.ZodType<T>, request: LxdRequest): Promise<T>;
  /** With the ETag that came with it. */
  readTagged<T>(schema: z.ZodType<T>, request: LxdRequest): Promise<{ value: T; etag: string }>;
  /** Until the operation is over, if it is one. @returns what the operation tells */
  run(request: LxdRequest): Promise<unknown>;
  /** Begins an operation that ends by itself or with its sockets. */
  begin(request: LxdRequest): Promise<Operation>;
  /** Until it is over, however long; its metadata. @throws LxdError when it failed */
  finished(id: string, signal: AbortSignal): Promise<unknown>;
  /** What is no JSON, such as a log. */
  bytes(request: LxdRequest): Promise<Buffer>;
  /** Likewise, of any length. */
  stream(request: LxdRequest): Promise<Readable>;
  /** @throws BackendError `unavailable` */
  webSocket(path: string, signal: AbortSignal): Promise<WebSocket>;
  close(): Promise<void>;
}

interface Operation {
  readonly id: string;
  /** Secrets of its sockets, by number and `control`. */
  readonly sockets: Readonly<Record<string, string>>;
}

const CONNECTIONS_MAX = 32;
/** Each terminal waits for its end as long as it is open, and each operation that goes on for its own. */
const WAITS_MAX = TERMINALS_MAX + CONNECTIONS_MAX;
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;
const LOG_BYTES_MAX = 4 * 1024 * 1024;
/** LXD holds the answer back until then; asked again while the operation goes on. */
const WAIT_SECONDS = 30;
/** Once seen: a forwarded wait that returned at once with "Running". */
const WAIT_PAUSE_MS = 100;
const OVER = 200;

const envelopeSchema = z.object({
  type: z.string(),
  metadata: z.unknown(),
  error: z.string().default(""),
  error_code: z.number().default(0),
});
const operationSchema = z.object({
  id: z.string(),
  status_code: z.number(),
  err: z.string().default(""),
  metadata: z.record(z.string(), z.unknown()).nullish(),
});

/** The REST API of LXD and Incus, version 1.0. */
export function lxdClient(address: LxdAddress): LxdClient {
  const pool = openPool(address, CONNECTIONS_MAX);
  const waits = openPool(address, WAITS_MAX); // apart: what waits would leave no connection to ask by
  const answer = async (request: LxdRequest, by = pool) => {
    const { statusCode, headers, body } = await by.request(requestOf(request));
    const bytes = await bounded(body, ANSWER_BYTES_MAX);
    return { envelope: envelopeOf(bytes, statusCode), etag: String(headers["etag"] ?? "") };
  };
  const finished = async (id: string, signal: AbortSignal): Promise<unknown> => {
    const path = `/1.0/operations/${encodeURIComponent(id)}/wait`;
    for (;;) {
      const request = { path, query: { timeout: `${WAIT_SECONDS}` }, signal };
      const { envelope } = await answer(request, waits);
      const operation = parsed(operationSchema, envelope.metadata);
      if (operation.status_code === OVER) return operation.metadata;
      if (operation.status_code > OVER) throw new LxdError(operation.status_code, operation.err);
      await sleep(WAIT_PAUSE_MS, undefined, { signal });
    }
  };
  const begin = async (request: LxdRequest): Promise<Operation> => {
    const { envelope } = await answer(request);
    const { id, metadata } = parsed(operationSchema, envelope.metadata);
    const fds = z.record(z.string(), z.string()).safeParse(metadata?.["fds"]);
    return { id, sockets: fds.data ?? {} };
  };
  return {
    read: async (schema, request) => parsed(schema, (await answer(request)).envelope.metadata),
    readTagged: async (schema, request) => {
      const { envelope, etag } = await answer(request);
      return { value: parsed(schema, envelope.metadata), etag };
    },
    run: async (request) => {
      const { envelope } = await answer(request);
      if (envelope.type !== "async") return envelope.metadata;
      return finished(parsed(operationSchema, envelope.metadata).id, request.signal);
    },
    begin,
    finished,
    bytes: async (request) => {
      const { statusCode, body } = await pool.request(requestOf(request));
      const bytes = await bounded(body, LOG_BYTES_MAX);
      if (statusCode >= 300) envelopeOf(bytes, statusCode);
      return bytes;
    },
    stream: async (request) => {
      const { statusCode, body } = await pool.request(requestOf(request));
      if (statusCode >= 300) envelopeOf(await bounded(body, LOG_BYTES_MAX), statusCode);
      return body;
    },
    webSocket: async (path, signal) => openWebSocket(address, path, signal),
    close: async () => {
      await Promise.all([pool.destroy(), waits.destroy()]);
    },
  };
}

function openPool(address: LxdAddress, connections: number): Pool {
  const options = { connections, allowH2: false };
  if ("socket" in address) {
    return new Pool("http://lxd", { ...options, socketPath: address.socket });
  }
  const connect: buildConnector.connector = (target, callback) => {
    buildConnector(connectOptions(address.tls()))(target, callback);
  };
  return new Pool(address.url, { ...options, connect });
}

/**
 * The CA is the daemon's own certificate as a rule, and that names no host that it is reached by: exactly this certificate
 * is then enough, as for `lxc remote add`.
 */
function connectOptions({ ca, cert, key }: LxdTls) {
  const pinned = ca === undefined ? undefined : new X509Certificate(ca).fingerprint256;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    checkServerIdentity: (host: string, peer: PeerCertificate) =>
      peer.fingerprint256 === pinned ? undefined : checkServerIdentity(host, peer),
  };
}

function requestOf(request: LxdRequest): Dispatcher.RequestOptions {
  const { method = "GET", path, query = {}, body, ifMatch, signal } = request;
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const search = new URLSearchParams(given as [string, string][]).toString();
  return {
    method,
    path: search === "" ? path : `${path}?${search}`,
    signal,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(ifMatch === undefined || ifMatch === "" ? {} : { "if-match": ifMatch }),
    },
    body: body === undefined ? null : JSON.stringify(body),
  };
}

async function bounded(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.byteLength;
    if (bytes > bytesMax) throw nonsense(`it is longer than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function envelopeOf(bytes: Buffer, status: number): z.infer<typeof envelopeSchema> {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw nonsense(`status ${status} without JSON`, cause);
  }
  const envelope = parsed(envelopeSchema, json);
  if (envelope.type === "error") throw new LxdError(envelope.error_code, envelope.error);
  return envelope;
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw nonsense(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`, result.error);
}

function nonsense(why: string, cause?: unknown): BackendError {
  return new BackendError("unavailable", `LXD's answer cannot be read: ${why}`, { cause });
}

async function openWebSocket(
  address: LxdAddress,
  path: string,
  signal: AbortSignal,
): Promise<WebSocket> {
  const socket =
    "socket" in address
      ? new WebSocket(`ws+unix:${address.socket}:${path}`)
      : new WebSocket(address.url.replace(/^http/, "ws") + path, {
          agent: new Agent(connectOptions(address.tls())),
        });
  // Its first messages may come before our caller listens.
  socket.pause();
  const stop = () => {
    socket.terminate();
  };
  signal.addEventListener("abort", stop, { once: true });
  socket.once("close", () => {
    signal.removeEventListener("abort", stop);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => undefined); // "close" follows, and is what its users listen to
  return socket;
}
