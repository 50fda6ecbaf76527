import { z } from "zod";
import { authorizationOf } from "../../lib/authorization.ts";
import { correlationId } from "../../lib/correlation.ts";
import { messageOf } from "../../lib/error.ts";
import { exchange } from "../../lib/exchange.ts";
import type { Log } from "../../lib/log.ts";
import { parseJson } from "../../lib/parse-json.ts";
import { followTlsFiles } from "../../lib/tls-options.ts";
import { hypervisorAccess, type HypervisorAccess } from "../config/hypervisor.ts";
import { ClusterError, type ClusterRefusal } from "../types/cluster.ts";
import type { Container, Containers, OperationState, RestartAnswer } from "../types/container.ts";
import { describeTarget, type Target } from "../types/target.ts";

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 256 * 1024;
const SAID_MAX = 200;

const containerSchema = z.object({
  name: z.string(),
  id: z.string().optional(),
  status: z.string().toLowerCase(),
  started_at: z.iso.datetime({ offset: true }).nullish(),
});
const acceptedSchema = z.object({ workflow_id: z.string().min(1).max(200) });
const checkedSchema = z.object({ dry_run: z.literal(true) });
const progressSchema = z.object({ status: z.string(), error: z.string().nullish() });
const problemSchema = z.object({ title: z.string(), detail: z.string().optional() });

type Call = (request: {
  /** For people: `restart container shop/web`. */
  readonly what: string;
  readonly method?: "GET" | "POST";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
}) => Promise<Reply>;

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** The hypervisor that is configured; undefined without one. */
export function openHypervisor(
  config: Parameters<typeof hypervisorAccess>[0],
  log: Log,
): Containers | undefined {
  const access = hypervisorAccess(config);
  return access && hypervisorContainers(access, { log });
}

/** Containers by the REST API of the hypervisor. */
export function hypervisorContainers(
  access: HypervisorAccess,
  { log, timeoutMs = TIMEOUT_MS }: { readonly log: Log; readonly timeoutMs?: number },
): Containers {
  const call = callerOf(access, log, timeoutMs);
  return {
    find: async (target) => findContainer(call, target),
    restart: async (target, { key, dryRun }) =>
      dryRun ? checkRestart(call, target) : restart(call, target, key),
    operation: async (id) => readOperation(call, id),
  };
}

async function findContainer(call: Call, target: Target): Promise<Container | undefined> {
  const what = `read ${describeTarget(target)}`;
  const reply = await call({ what, ...placeOf(target) });
  if (reply.status === 404) return undefined;
  const { name, id, status, started_at: startedAt } = read(containerSchema, reply, what);
  // Whatever the server makes of a name, it is this container that the plan is about.
  if (name !== target.name) throw unreadable(what, `it is about ${JSON.stringify(name)}`);
  return { uid: id ?? "", state: status, startedAt: startedAt ?? undefined };
}

async function restart(call: Call, target: Target, key: string): Promise<RestartAnswer> {
  const what = `restart ${describeTarget(target)}`;
  const headers = { "idempotency-key": key };
  const reply = await call({ what, method: "POST", ...actionOf(target), headers });
  const refused = refusalOf(reply);
  if (refused !== undefined) return refused;
  const operation = acceptedSchema.safeParse(reply.body).data?.workflow_id;
  return { kind: "accepted", operation: operation ?? operationIn(reply.headers.get("location")) };
}

/** A server that does not know dry runs must not be taken for one that did one. It bears no key: it is another request. */
async function checkRestart(call: Call, target: Target): Promise<RestartAnswer> {
  const what = `check the restart of ${describeTarget(target)}`;
  const { path, query, body } = actionOf(target);
  const reply = await call({
    what,
    method: "POST",
    path,
    query: { ...query, dryRun: "true" },
    body,
  });
  const refused = refusalOf(reply);
  if (refused !== undefined) return refused;
  read(checkedSchema, reply, what);
  return { kind: "accepted", operation: undefined };
}

function refusalOf({ status, body }: Reply): RestartAnswer | undefined {
  if (status === 404) return { kind: "gone" };
  return status === 409 ? { kind: "busy", why: saidIn(body) } : undefined;
}

/** An operation that is forgotten, or not ours to see, says nothing about the container. */
async function readOperation(call: Call, id: string): Promise<OperationState> {
  const what = `read the operation ${id}`;
  const path = `/progress/${encodeURIComponent(id)}`;
  const reply = await call({ what, path }).catch((error: unknown) => {
    if (error instanceof ClusterError && !error.retryable) return undefined;
    throw error;
  });
  const progress = progressSchema.safeParse(reply?.body).data;
  if (progress === undefined) return { kind: "unknown" };
  const { status, error } = progress;
  if (["failed", "cancelled", "error"].includes(status))
    return { kind: "failed", why: (error ?? `the operation is ${status}`).slice(0, SAID_MAX) };
  const finished = ["completed", "succeeded", "success"].includes(status);
  return { kind: finished ? "finished" : "running" };
}

function placeOf({ namespace, name }: Target) {
  const path = `/api/v1/containers/${encodeURIComponent(name)}`;
  return { path, query: { project: namespace } };
}

function actionOf(target: Target) {
  const { path, query } = placeOf(target);
  return { path: `${path}/action`, query, body: { action: "restart" } };
}

function operationIn(location: string | null): string | undefined {
  const [, id] = /\/progress\/([^/?#]{1,200})$/.exec(location ?? "") ?? [];
  return id === undefined ? undefined : decodeURIComponent(id);
}

function callerOf(access: HypervisorAccess, log: Log, timeoutMs: number): Call {
  const tls = followTlsFiles(access.tls, { owner: "the hypervisor", log });
  return async ({ what, method = "GET", path, query = {}, headers = {}, body }) => {
    const search = new URLSearchParams(query).toString();
    const correlation = correlationId();
    const reply = await exchange(`${access.url}${path}${search === "" ? "" : `?${search}`}`, {
      method,
      headers: {
        accept: "application/json",
        ...authorizationOf(access),
        ...(correlation === undefined ? {} : { "x-correlation-id": correlation }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
      tls: tls(),
      bytesMax: ANSWER_BYTES_MAX,
    }).catch((cause: unknown) => {
      const why = messageOf(cause);
      throw new ClusterError(`cannot ${what}: ${why}`, { retryable: true, cause });
    });
    const known = { ...reply, body: parseJson(reply.text) };
    if (reply.status < 300 || ANSWERS.has(reply.status)) return known;
    throw refused(what, known);
  };
}

/** Refusals that are an answer: there is none, or not now. */
const ANSWERS: ReadonlySet<number> = new Set([404, 409]);

const REASONS: ReadonlyMap<number, ClusterRefusal> = new Map([
  [400, "invalid"],
  [401, "unauthorized"],
  [403, "forbidden"],
  [422, "invalid"],
  [429, "throttled"],
]);

/** 3xx and 4xx are the server's last word; everything else (5xx, 408, 429) may be tried again. */
function refused(what: string, { status, headers, body }: Reply): ClusterError {
  return new ClusterError(
    `cannot ${what}: ${saidIn(body) || `the hypervisor answered ${status}`}`,
    {
      retryable: status >= 500 || status === 408 || status === 429,
      status,
      reason: REASONS.get(status),
      retryAfterMs: retryAfterOf(headers),
    },
  );
}

function retryAfterOf(headers: Headers): number | undefined {
  const seconds = Number(headers.get("retry-after") ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

/** What the problem document says (RFC 9457). */
function saidIn(body: unknown): string {
  const problem = problemSchema.safeParse(body).data;
  return (problem?.detail ?? problem?.title ?? "").slice(0, SAID_MAX);
}

function read<T>(schema: z.ZodType<T>, { body }: Reply, what: string): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw unreadable(what, z.prettifyError(parsed.error).slice(0, SAID_MAX));
}

/** Another version of the hypervisor, or something else at its address: to ask again helps nobody. */
function unreadable(what: string, why: string): ClusterError {
  return new ClusterError(`cannot ${what}: its answer cannot be read (${why})`, {
    retryable: false,
  });
}
