import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Express, Request, Response } from "express";
import type { z } from "zod";
import { canonicalJson } from "../../lib/canonical.ts";
import { hasCode } from "../../lib/error.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Principal } from "../types.ts";
import type { AnyAnswer } from "./answer.ts";
import type { Call } from "./call.ts";
import { callerOf } from "./caller.ts";
import type { RouterDeps } from "./deps.ts";
import { credentialOf, type Attempt } from "./guard.ts";
import { findKept, replayed, type KeyedRequest } from "./kept-answers.ts";
import { Answered, changesOf } from "./make-changes.ts";
import { readRequest, type ReadRequest } from "./read-request.ts";
import { rawPath, serveRaw, shownRaw, type RawDefinition, type RawHandler } from "./raw.ts";
import type {
  AnswerTable,
  AnyRoute,
  Handler,
  Mutation,
  Nothing,
  RouteDefinition,
  WebSocketDefinition,
} from "./route.ts";
import { createSockets, type Sockets, type SocketHandler } from "./sockets.ts";

/** Where nouns register their routes. */
export interface Router {
  /** @throws at start-up for a route twice, or one that changes something and does not say what */
  route<
    P extends z.ZodType = z.ZodType<Nothing>,
    Q extends z.ZodType = z.ZodType<Nothing>,
    B extends z.ZodType = z.ZodType<undefined>,
    const A extends AnswerTable = AnswerTable,
  >(
    definition: RouteDefinition<P, Q, B, A>,
    handler: Handler<P, Q, B, NoInfer<A>>,
  ): void;
  /** The caller is authenticated, allowed and from a known origin when the handler gets the socket. */
  webSocket<P extends z.ZodType = z.ZodType<Nothing>, Q extends z.ZodType = z.ZodType<Nothing>>(
    definition: WebSocketDefinition<P, Q>,
    handler: SocketHandler<z.output<P>, z.output<Q>>,
  ): void;
  /** Everything below a prefix, passed to the handler as it came. */
  raw(definition: RawDefinition, handler: RawHandler): void;
  readonly routes: readonly AnyRoute[];
  readonly sockets: Sockets;
}

/** Registers routes behind their permission: default deny. */
export function createRouter(app: Express, deps: RouterDeps): Router {
  const routes: AnyRoute[] = [];
  const names = new Set<string>();
  const sockets = createSockets(deps);
  return {
    routes,
    sockets,
    webSocket: (definition, handler) => {
      claim(names, `WS ${definition.path}`, definition.permission);
      sockets.add(definition, handler);
    },
    raw: (definition, handler) => {
      claim(names, `RAW ${definition.prefix}`, definition.permission);
      routes.push(shownRaw(definition));
      app.all(rawPath(definition), serveRaw(definition, handler, deps));
    },
    route: (definition, handler) => {
      const route: AnyRoute = definition;
      const name = nameOf(route);
      if (route.method !== "get" && route.mutates === undefined)
        throw new Error(`route ${name} does not say what it changes`);
      claim(names, name, route.permission);
      routes.push(route);
      app[route.method](route.path, async (request, response) => {
        // The definition's own types are the handler's: what the schemas gave is what it takes.
        await serve(route, handler as unknown as AnyHandler, { request, response, deps });
      });
    },
  };
}

function claim(names: Set<string>, name: string, permission: unknown): void {
  const given = Array.isArray(permission) ? permission.length > 0 : typeof permission === "string";
  if (!given) throw new Error(`route ${name} has no permission`);
  if (names.has(name)) throw new Error(`route ${name} is there twice`);
  names.add(name);
}

export function nameOf({ method, path }: Pick<AnyRoute, "method" | "path">): string {
  return `${method.toUpperCase()} ${path}`;
}

type AnyHandler = (call: Call) => Promise<AnyAnswer>;

interface Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly deps: RouterDeps;
}

async function serve(route: AnyRoute, handler: AnyHandler, exchange: Exchange): Promise<void> {
  const { request, response, deps } = exchange;
  const attempt: Attempt = {
    route: nameOf(route),
    resourceId: Object.values(request.params).flat().join("/"),
    mutation: mutationOf(route),
    ip: request.ip ?? "unknown",
  };
  const principal = await admit(route, exchange, attempt);
  const read = await readRequest(route, request, response);
  const keyed = keyedOf(route, request, { principal, read });
  const kept = keyed && (await findKept(deps.database, keyed));
  if (kept !== undefined) {
    await send(response, replayed(kept));
    return;
  }
  const changes = watchedChanges(route, exchange, { principal, read, keyed, attempt });
  const call: Call = {
    params: read.params,
    query: read.query,
    body: read.body,
    dryRun: read.dryRun,
    ...callerOf(request, { guard: deps.guard, principal, attempt }),
    signal: signalOf(request, response),
    change: changes.change,
    perform: changes.perform,
  };
  const answer = await handler(call).catch(async (error: unknown) => {
    if (error instanceof Answered) return error;
    if (!changes.isRecorded()) await deps.guard.note(principal, attempt, error);
    throw error;
  });
  if (answer instanceof Answered) {
    await send(response, answer.answer);
    return;
  }
  if (call.signal.aborted && !response.writable) return;
  if (changes.forgotten()) throw new Error(`route ${attempt.route} left no audit row`);
  await send(response, shownBy(route, answer));
}

async function admit(
  route: AnyRoute,
  { request, response, deps }: Exchange,
  attempt: Attempt,
): Promise<Principal> {
  let known: Principal | undefined;
  try {
    known = await deps.guard.identify(credentialOf(request), route.permission, attempt);
  } finally {
    await deps.limit.request(request, response, known); // a 401 too often becomes a 429
  }
  await deps.guard.permit(known, route.permission, attempt);
  return known;
}

function mutationOf({ mutates }: AnyRoute): Mutation | undefined {
  return typeof mutates === "object" ? mutates : undefined;
}

function keyedOf(
  route: AnyRoute,
  request: Request,
  { principal, read }: { readonly principal: Principal; readonly read: ReadRequest },
): KeyedRequest | undefined {
  const key = request.get("idempotency-key");
  const mutation = mutationOf(route);
  if (key === undefined || route.method !== "post" || read.dryRun) return undefined;
  if (mutation === undefined || principal.via === "nobody") return undefined;
  if (!/^[\x21-\x7e]{1,128}$/.test(key)) {
    const detail = "Idempotency-Key: must be 1 to 128 printable characters without blanks";
    throw new HttpProblem(400, "Bad request", detail);
  }
  const { via, organization = null, token = null } = principal;
  const body = withoutFields(read.body, mutation.secretFields);
  const said = [via, organization, token, route.method, route.path, read.params, read.query, body];
  const fingerprint = createHash("sha256").update(canonicalJson(said)).digest("hex");
  return { principal: principal.name, key, fingerprint, secret: mutation.secretAnswer === true };
}

function withoutFields(body: unknown, fields: readonly string[] = []): unknown {
  if (typeof body !== "object" || body === null || fields.length === 0) return body ?? null;
  return Object.fromEntries(Object.entries(body).filter(([name]) => !fields.includes(name)));
}

function watchedChanges(
  route: AnyRoute,
  { request, deps }: Exchange,
  known: {
    readonly principal: Principal;
    readonly read: ReadRequest;
    readonly keyed: KeyedRequest | undefined;
    readonly attempt: Attempt;
  },
) {
  const mutation = mutationOf(route);
  let recorded = false;
  if (mutation === undefined) {
    const refuse = async (): Promise<never> =>
      Promise.reject(new Error(`route ${nameOf(route)} says that it changes nothing`));
    return { change: refuse, perform: refuse, isRecorded: () => false, forgotten: () => false };
  }
  const { principal, read, keyed, attempt } = known;
  const changes = changesOf({
    database: deps.database,
    mutation,
    principal,
    ip: attempt.ip,
    dryRun: read.dryRun,
    keyed,
    shown: (answer) => shownBy(route, answer),
    recorded: () => {
      recorded = true;
    },
  });
  const isRecorded = () => recorded;
  return { ...changes, isRecorded, forgotten: () => !recorded && !request.destroyed };
}

function signalOf(request: Request, response: Response): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) controller.abort(new Error(`${request.method} was given up`));
  });
  return controller.signal;
}

/** The answer as its schema describes it: what is not described does not leave. @throws for what does not fit it */
function shownBy(route: AnyRoute, answer: AnyAnswer): AnyAnswer {
  const spec = route.answers[answer.status];
  if (spec === undefined) throw new Error(`${nameOf(route)} answers ${answer.status} unannounced`);
  if (spec === "nothing") return { ...answer, body: undefined };
  if ("media" in spec)
    return { ...answer, headers: { "content-type": spec.media, ...answer.headers } };
  return { ...answer, body: spec.parse(answer.body) };
}

async function send(response: Response, { status, headers = {}, body }: AnyAnswer): Promise<void> {
  response.status(status).set({ "Cache-Control": "no-store", ...headers });
  if (body === undefined) response.end();
  else if (body instanceof Readable) {
    await pipeline(body, response).catch((error: unknown) => {
      if (!hasCode(error, "ERR_STREAM_PREMATURE_CLOSE")) throw error;
    });
  } else if (headers["content-type"] !== undefined && isText(body)) response.end(body);
  else response.json(body);
}

function isText(body: unknown): body is string | Uint8Array {
  return typeof body === "string" || body instanceof Uint8Array;
}
