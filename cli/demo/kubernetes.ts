import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { checkAccess, type Tokens } from "./kubernetes/access.ts";
import { startController, writeStatus, type Controller } from "./kubernetes/controller.ts";
import { createObject } from "./kubernetes/create.ts";
import { Faults, type ScriptedFault } from "./kubernetes/faults.ts";
import { handleRequest, isDryRun } from "./kubernetes/handle.ts";
import { Journal } from "./kubernetes/journal.ts";
import { crashPod, PodLogs, type LogOf } from "./kubernetes/pod-logs.ts";
import { route } from "./kubernetes/route.ts";
import { seedWorkload, type WorkloadSeed } from "./kubernetes/seed.ts";
import { StatusError } from "./kubernetes/status.ts";
import { Store } from "./kubernetes/store.ts";
import type {
  Answer,
  Json,
  KubernetesObject,
  LoggedRequest,
  Resource,
  Target,
} from "./kubernetes/types.ts";
import { watchObjects } from "./kubernetes/watch.ts";
import { workloadOf } from "./kubernetes/workload.ts";

export interface KubernetesOptions {
  /** A free one unless set. */
  readonly port?: number;
  /** Random unless set. */
  readonly token?: string;
  /** A second token, of a user who may only read. */
  readonly readOnlyToken?: string;
  readonly deployments: readonly WorkloadSeed[];
  readonly statefulsets?: readonly WorkloadSeed[];
  readonly daemonsets?: readonly WorkloadSeed[];
  /** From a change of a Deployment to all of its pods being ready; 200 ms unless set. */
  readonly readyAfterMs?: number;
  /** Every request is appended here as a line of JSON. */
  readonly logFile?: string;
}

/**
 * A Kubernetes API server as far as the product needs one: workloads and their scale, pods, evictions under disruption
 * budgets, watches; and kinds that are only kept (budgets, autoscalers, quotas, ConfigMaps, events, jobs).
 */
export interface Kubernetes {
  readonly url: string;
  readonly token: string;
  /** Everything that was asked, in order. */
  readonly requests: readonly LoggedRequest[];
  /** The requests that changed something: no dry runs, no failures, no repetition of what already held. */
  readonly mutations: () => readonly LoggedRequest[];
  readonly failNext: (fault: ScriptedFault) => void;
  /** Milliseconds from a change to ready; Infinity makes rollouts hang. */
  readonly setReadyAfterMs: (milliseconds: number) => void;
  /** What is stored now, without a line in the log. */
  readonly read: (target: Target) => KubernetesObject | undefined;
  /** Puts an object there, or another in its place, as somebody else would: without a line in the log. */
  readonly put: (resource: PassiveResource, object: Json) => void;
  readonly remove: (target: Target) => void;
  /** A pod begins to fail, or to work, its readiness check. */
  readonly setPodReady: (namespace: string, name: string, ready: boolean) => void;
  /** What `GET …/log` gives; empty unless set. */
  readonly setPodLog: (namespace: string, name: string, text: string, of?: LogOf) => void;
  /** The pod's container ends with this exit code, and is not ready any more. */
  readonly crashPod: (namespace: string, name: string, exitCode: number) => void;
  /** Names of the pods of a namespace. */
  readonly podNames: (namespace: string) => readonly string[];
  readonly stop: () => Promise<void>;
}

type PassiveResource = Exclude<Resource, "deployments" | "statefulsets" | "daemonsets" | "pods">;

interface Api {
  readonly tokens: Tokens;
  readonly store: Store;
  readonly controller: Controller;
  readonly faults: Faults;
  readonly journal: Journal;
  readonly logOf: (pod: KubernetesObject, query: Readonly<Record<string, string>>) => string;
}

const READY_AFTER_MS = 200;

/** Starts the stand-in on loopback. It speaks plain HTTP and behaves as a real server was recorded to behave. */
export async function startKubernetes(options: KubernetesOptions): Promise<Kubernetes> {
  const { token = randomBytes(16).toString("hex"), readOnlyToken } = options;
  const store = new Store();
  const logs = new PodLogs();
  const api: Api = {
    tokens: { token, readOnlyToken },
    store,
    controller: startController(store, options.readyAfterMs ?? READY_AFTER_MS),
    faults: new Faults(),
    journal: new Journal(options.logFile),
    logOf: (pod, query) => logs.read(pod, query),
  };
  for (const seed of options.deployments) seedWorkload(store, "deployments", seed);
  for (const seed of options.statefulsets ?? []) seedWorkload(store, "statefulsets", seed);
  for (const seed of options.daemonsets ?? []) seedWorkload(store, "daemonsets", seed);

  const server = createServer((request, response) => {
    // A client that goes away in the middle of its request is no fault of ours.
    serve(request, response, api).catch(() => request.socket.destroy());
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    requests: api.journal.requests,
    mutations: () => api.journal.requests.filter(({ effective }) => effective),
    failNext: (fault) => {
      api.faults.add(fault);
    },
    setReadyAfterMs: api.controller.setReadyAfterMs,
    read: (target) => store.get(target),
    put: (resource, object) => {
      putObject(store, resource, object);
    },
    remove: (target) => {
      const object = store.get(target);
      if (object !== undefined) store.remove(target.resource, object);
    },
    setPodReady: (namespace, name, ready) => {
      setPodReady(store, { resource: "pods", group: "", namespace, name }, ready);
    },
    setPodLog: (namespace, name, lines, of = {}) => {
      logs.set(namespace, name, lines, of);
    },
    crashPod: (namespace, name, exitCode) => {
      crashPod(store, { resource: "pods", group: "", namespace, name }, exitCode);
    },
    podNames: (namespace) => store.list("pods", namespace).map(({ metadata }) => metadata.name),
    stop: async () => {
      api.controller.stop();
      if (!server.listening) return;
      server.close();
      server.closeAllConnections(); // hung requests too
      await once(server, "close");
    },
  };
}

function putObject(store: Store, resource: PassiveResource, object: Json): void {
  const metadata = object["metadata"] as { readonly namespace: string };
  const target = { resource, group: "", namespace: metadata.namespace };
  const wanted = createObject(target, object);
  const before = store.get({ ...target, name: wanted.metadata.name });
  if (before === undefined) store.create(resource, wanted);
  else store.put(resource, { ...wanted, metadata: { ...before.metadata, ...wanted.metadata } });
}

function setPodReady(store: Store, target: Target, ready: boolean): void {
  const pod = store.get(target);
  if (pod === undefined) throw new Error(`there is no pod ${target.name ?? ""}`);
  const conditions = [{ type: "Ready", status: ready ? "True" : "False" }];
  const changed = store.put("pods", { ...pod, status: { ...pod.status, conditions } });
  const owner = workloadOf(store, changed);
  if (owner !== undefined) writeStatus(store, owner.target);
}

/** read → scripted fault → answer → log → send */
async function serve(request: IncomingMessage, response: ServerResponse, api: Api): Promise<void> {
  const { method = "GET" } = request;
  const url = new URL(request.url ?? "/", "http://localhost");
  const body = await text(request);
  const fault = api.faults.take(method, url.pathname);
  const happens = fault === undefined || fault.closeAfterEffect === true;
  if (happens && isWatch(url)) {
    serveWatch(request, response, url, api);
    return;
  }
  const answer = happens ? answerSafely(request, url, body, api) : scriptedAnswer(fault);
  const answered = fault?.hang !== true && fault?.closeAfterEffect !== true;
  api.journal.write(logged(method, url, body, answer, answered));
  if (answered) send(response, answer);
  else if (happens) request.socket.destroy();
}

function isWatch({ searchParams }: URL): boolean {
  return ["1", "true"].includes(searchParams.get("watch") ?? "");
}

/** Access is checked as for a list; after that it goes on until one side ends it. */
function serveWatch(request: IncomingMessage, response: ServerResponse, url: URL, api: Api): void {
  const target = route(url.pathname);
  const query = Object.fromEntries(url.searchParams);
  try {
    checkAccess(request.headers.authorization, "GET", target, api.tokens);
    if (target === undefined) throw new StatusError(404, "NotFound", "404 page not found");
    api.journal.write(logged("GET", url, "", { status: 200, body: "" }, true));
    watchObjects(api.store, target, query, response);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    api.journal.write(logged("GET", url, "", error.answer, true));
    send(response, error.answer);
  }
}

function logged(
  method: string,
  url: URL,
  body: string,
  answer: Answer,
  answered: boolean,
): LoggedRequest {
  const query = Object.fromEntries(url.searchParams);
  const content = readableBody(body);
  return {
    at: new Date().toISOString(),
    method,
    path: url.pathname,
    query,
    body: content,
    dryRun: isDryRun(query, content),
    effective: answer.effective ?? false,
    status: answered ? answer.status : null,
  };
}

function answerSafely(request: IncomingMessage, url: URL, body: string, api: Api): Answer {
  try {
    return answerRequest(request, url, body, api);
  } catch (error) {
    if (error instanceof StatusError) return error.answer;
    return new StatusError(500, "InternalError", String(error)).answer;
  }
}

function answerRequest(request: IncomingMessage, url: URL, body: string, api: Api): Answer {
  const { method = "GET", headers } = request;
  const open = OPEN_PATHS[url.pathname];
  if (open !== undefined) return { status: 200, body: open };
  const target = route(url.pathname);
  checkAccess(headers.authorization, method, target, api.tokens);
  if (target === undefined) return { status: 404, body: "404 page not found\n" };
  const contentType = headers["content-type"] ?? "";
  const query = Object.fromEntries(url.searchParams);
  return handleRequest({ method, target, query, contentType, body }, api);
}

/** What anybody may read, without a token. */
const OPEN_PATHS: Readonly<Record<string, unknown>> = {
  "/version": { major: "1", minor: "22", gitVersion: "v1.22.0-fettle-stand-in", platform: "any" },
  "/healthz": "ok",
  "/livez": "ok",
  "/readyz": "ok",
};

/** 429 by priority and fairness is plain text, as is everything that a proxy in between would say. */
function scriptedAnswer({ status = 500, retryAfterSeconds }: ScriptedFault): Answer {
  const retryAfter = retryAfterSeconds ?? (status === 429 ? 1 : undefined);
  const headers = retryAfter === undefined ? {} : { "retry-after": String(retryAfter) };
  if (status === 429) {
    return { status, body: "Too many requests, please try again later.\n", headers };
  }
  const reason = SCRIPTED_REASONS[status] ?? "InternalError";
  return { ...new StatusError(status, reason, `scripted: ${reason}`, {}).answer, headers };
}

const SCRIPTED_REASONS: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  409: "Conflict",
  503: "ServiceUnavailable",
  504: "Timeout",
};

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  const plain = typeof body === "string";
  response.writeHead(status, {
    "content-type": plain ? "text/plain; charset=utf-8" : "application/json",
    ...headers,
  });
  response.end(plain ? body : JSON.stringify(body));
}

/** For the log: JSON as such, anything else as text, nothing as null. */
function readableBody(body: string): unknown {
  if (body === "") return null;
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return body;
  }
}
