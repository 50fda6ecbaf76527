import { STATUS_CODES, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Registry } from "prom-client";
import { z } from "zod";
import {
  CORRELATION_HEADER,
  correlationId,
  correlationIdOf,
  withCorrelation,
} from "../../lib/correlation.ts";
import { problemOf } from "../../lib/http.ts";
import type { Log } from "../../lib/log.ts";
import { createHttpMetrics } from "../../lib/metrics.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Principal } from "../types.ts";
import { callerOf, type Caller } from "./caller.ts";
import { clientAddress, type TrustsProxy } from "./client-address.ts";
import { isOfOwnOrigin } from "./cookies.ts";
import { credentialOf, type Attempt, type Guard } from "./guard.ts";
import type { Limit } from "./limits.ts";
import { FOREIGN_PAGE, originAllowed } from "./origins.ts";
import { read } from "./read-request.ts";
import type { WebSocketDefinition } from "./route.ts";
import { closeFrame, watchSwitch } from "./switching.ts";

/** What `ws` needs to switch protocols (`WebSocketServer.handleUpgrade`). */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** Who opens a WebSocket, and about what. */
export interface SocketCall<P = unknown, Q = unknown> extends Caller {
  readonly params: P;
  readonly query: Q;
}

export type SocketHandler<P, Q> = (call: SocketCall<P, Q>, upgrade: Upgrade) => Promise<void>;

export interface AnySocket {
  readonly definition: WebSocketDefinition<z.ZodType, z.ZodType>;
  readonly handler: SocketHandler<unknown, unknown>;
}

export interface Sockets {
  readonly list: readonly AnySocket[];
  add<P extends z.ZodType, Q extends z.ZodType>(
    definition: WebSocketDefinition<P, Q>,
    handler: SocketHandler<z.output<P>, z.output<Q>>,
  ): void;
  /** The server's `upgrade` event: answers a refusal as HTTP, or hands the socket to the handler. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export interface SocketsDeps {
  readonly guard: Guard;
  readonly origins: readonly string[];
  readonly trustsProxy: TrustsProxy;
  readonly limit: Limit;
  readonly log: Log;
  readonly registry: Registry;
}

/** Who does not read a refusal within this is hung up on. */
const REFUSAL_MS = 5_000;

const nothing = z.strictObject({});

/** The WebSocket routes: origin, token, permission and parameters are checked before the protocol is switched. */
export function createSockets(deps: SocketsDeps): Sockets {
  const list: AnySocket[] = [];
  const metrics = createHttpMetrics(deps.registry);
  return {
    list,
    add: (definition, handler) => {
      // The definition's own types are the handler's: what the schemas gave is what it takes.
      list.push({ definition, handler } as unknown as AnySocket);
    },
    upgrade: (request, socket, head) => {
      socket.on("error", () => {
        socket.destroy(); // a client that goes away in the middle is no fault of ours
      });
      const id = correlationIdOf(request.headers[CORRELATION_HEADER.toLowerCase()]);
      const start = performance.now();
      const isSwitched = watchSwitch(socket);
      void withCorrelation(id, async () => {
        try {
          await open(list, deps, { request, socket, head });
        } catch (error) {
          const route = routeOf(list, request);
          if (socket.destroyed) {
            deps.log.debug("WebSocket ended before its answer, or by a fault", { route, error });
            return;
          }
          if (isSwitched()) {
            deps.log.error("WebSocket failed", { route, error });
            end(socket, closeFrame());
            return;
          }
          const problem = problemOf(error);
          const { status } = problem;
          metrics.observe("GET", route, status, (performance.now() - start) / 1000);
          if (status >= 500) deps.log.error("WebSocket not opened", { route, status, error });
          refuse(socket, problem);
        }
      });
    },
  };
}

async function open(
  list: readonly AnySocket[],
  deps: SocketsDeps,
  upgrade: Upgrade,
): Promise<void> {
  const { guard, origins, trustsProxy } = deps;
  const { request } = upgrade;
  const url = urlOf(request);
  if (url === null) throw new HttpProblem(400, "Bad request", "The address cannot be read.");
  const found = find(list, url);
  if (found === undefined) throw new HttpProblem(404, "Not found");
  const { definition, handler } = found;
  const attempt: Attempt = {
    route: `WS ${definition.path}`,
    resourceId: Object.values(found.params ?? {}).join("/"),
    mutation: undefined,
    ip: clientAddress(request, trustsProxy),
  };
  const { origin, host } = request.headers;
  if (!originAllowed(origin, host, origins)) await guard.refuseStranger(attempt, FOREIGN_PAGE);
  const principal = await admit(definition, deps, request, attempt);
  const params = read(definition.params ?? nothing, found.params);
  const query = read(definition.query ?? nothing, queryOf(url.searchParams));
  const call = { params, query, ...callerOf(request, { guard, principal, attempt }) };
  await handler(call, upgrade).catch(async (error: unknown) => {
    await guard.note(principal, attempt, error);
    throw error;
  });
}

/** Null for what is none: Node passes on whatever a client calls an address. */
function urlOf({ url = "/" }: IncomingMessage): URL | null {
  return URL.parse(url, "http://fettle");
}

function find(list: readonly AnySocket[], { pathname }: URL) {
  return list
    .map((each) => ({ ...each, params: paramsOf(each.definition.path, pathname) }))
    .find(({ params }) => params !== undefined);
}

/** As it is counted: a pattern, never a path. */
function routeOf(list: readonly AnySocket[], request: IncomingMessage): string {
  const url = urlOf(request);
  return (url && find(list, url)?.definition.path) ?? "unmatched";
}

async function admit(
  { permission, cookies = false }: AnySocket["definition"],
  { guard, limit }: SocketsDeps,
  request: IncomingMessage,
  attempt: Attempt,
): Promise<Principal> {
  let known: Principal | undefined;
  try {
    const credential = credentialOf(request, { cookies });
    known = await guard.identify(credential, permission, attempt);
    if (credential?.by === "cookie" && !isOfOwnOrigin(request.headers))
      await guard.refuse(known, attempt, "only our own pages open WebSockets by a cookie");
  } finally {
    await limit.upgrade(attempt.ip, known); // before a refusal is written down
  }
  await guard.permit(known, permission, attempt);
  return known;
}

function queryOf(search: URLSearchParams): Readonly<Record<string, string>> {
  const names = [...search.keys()];
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new HttpProblem(400, "Bad request", `${twice}: is there twice`);
  return Object.fromEntries(search);
}

function paramsOf(path: string, pathname: string): Readonly<Record<string, string>> | undefined {
  const wanted = path.split("/");
  const given = pathname.split("/");
  const last = wanted.at(-1) ?? "";
  if (last.startsWith("*") && given.length >= wanted.length) {
    const rest = given.splice(wanted.length - 1).join("/"); // as it came: its handler reads it
    const before = paramsOf(wanted.slice(0, -1).join("/"), given.join("/"));
    return before && { ...before, [last.slice(1)]: rest };
  }
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [at, segment] of wanted.entries()) {
    const value = decoded(given[at] ?? "");
    if (value === undefined) return undefined;
    if (segment.startsWith(":")) params[segment.slice(1)] = value;
    else if (segment !== value) return undefined;
  }
  return params;
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

function refuse(socket: Duplex, { status, title, detail, headers }: HttpProblem): void {
  const id = correlationId() ?? "";
  const problem = { type: "about:blank", status, title, detail, correlation_id: id };
  const body = JSON.stringify(problem);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `${CORRELATION_HEADER}: ${id}`,
    "Content-Type: application/problem+json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  end(socket, `${lines.join("\r\n")}\r\n\r\n${body}`);
}

/** Half closed it would stay until the client closes its half: the server's own timeouts end with the upgrade. */
function end(socket: Duplex, last: string | Buffer): void {
  const late = setTimeout(() => socket.destroy(), REFUSAL_MS);
  socket.once("close", () => {
    clearTimeout(late);
  });
  if (socket.writableEnded) return; // it was closed in its own way, and waits for the client's word
  socket.once("finish", () => socket.destroy());
  socket.end(last);
}
