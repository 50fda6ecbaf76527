import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

interface HypervisorRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly key: string | undefined;
  readonly correlationId: string | undefined;
  readonly body: string;
  /** Whether it restarted something. */
  effective: boolean;
}

/** What happens to a request instead of the normal answer; "late" does what was asked and never answers. */
type HypervisorFault =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  | "hang"
  | "reset"
  | "late";

export interface FakeContainer {
  readonly id: string;
  status: string;
  /** RFC 3339. */
  started_at: string | null;
}

export interface FakeHypervisor {
  readonly url: string;
  readonly token: string;
  readonly requests: readonly HypervisorRequest[];
  /** Those that restarted a container. */
  readonly mutations: () => readonly HypervisorRequest[];
  /** By `<project>/<name>`; tests change them as somebody else would. */
  readonly containers: Map<string, FakeContainer>;
  /** Why the hypervisor cannot do anything to a container now, by `<project>/<name>`. */
  readonly busy: Map<string, string>;
  /** Taken one per request that matches, in order. */
  readonly faults: { readonly when: RegExp; readonly fault: HypervisorFault }[];
  /** How the next operations end, and after how many looks. */
  readonly operations: { looks: number; end: { status: string; error?: string } };
  readonly stop: () => Promise<void>;
}

const FIRST_START: string = "2026-11-20T10:00:00Z";

/** A hypervisor's REST API as far as restarts need it, on loopback. */
export async function startHypervisor(
  token = "hypervisor-token-0123456789",
): Promise<FakeHypervisor> {
  const requests: HypervisorRequest[] = [];
  const world: World = {
    containers: new Map([["shop/web", { id: "c-1", status: "running", started_at: FIRST_START }]]),
    busy: new Map(),
    operations: { looks: 1, end: { status: "completed" } },
    known: new Map(),
    running: new Map(),
  };
  const faults: FakeHypervisor["faults"] = [];
  const server = createServer((request, response) => {
    serve(request, response, { token, requests, faults, world }).catch(() => {
      request.socket.destroy(); // a client that goes away in the middle is no fault of ours
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { containers, busy, operations } = world;
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    requests,
    mutations: () => requests.filter(({ effective }) => effective),
    containers,
    busy,
    faults,
    operations,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface World extends Pick<FakeHypervisor, "containers" | "busy" | "operations"> {
  /** Answers by Idempotency-Key. */
  readonly known: Map<string, { readonly of: string; readonly answer: Answer }>;
  /** Looks that an operation still needs. */
  readonly running: Map<string, number>;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: object;
}

interface Script {
  readonly token: string;
  readonly requests: HypervisorRequest[];
  readonly faults: FakeHypervisor["faults"];
  readonly world: World;
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { token, requests, faults, world }: Script,
): Promise<void> {
  const { method = "GET", url: path = "/", headers } = request;
  const logged: HypervisorRequest = {
    method,
    path,
    key: headerOf(headers["idempotency-key"]),
    correlationId: headerOf(headers["x-correlation-id"]),
    body: await text(request),
    effective: false,
  };
  requests.push(logged);
  const at = faults.findIndex(({ when }) => when.test(`${method} ${path}`));
  const [scripted] = at < 0 ? [] : faults.splice(at, 1);
  const fault = scripted?.fault;
  if (fault !== undefined && fault !== "late") {
    misbehave(fault, request, response);
    return;
  }
  const answer =
    headers.authorization === `Bearer ${token}`
      ? answerTo(logged, world)
      : problem(401, "the token is not known");
  if (fault === "late") return;
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(JSON.stringify(answer.body));
}

function headerOf(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function misbehave(
  fault: Exclude<HypervisorFault, "late">,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (fault === "reset") request.socket.destroy();
  if (typeof fault === "string") return;
  response.writeHead(fault.status, fault.headers).end(fault.body ?? "");
}

function answerTo(request: HypervisorRequest, world: World): Answer {
  const { pathname, searchParams } = new URL(request.path, "http://hypervisor");
  const [, operation] = /^\/progress\/([^/]+)$/.exec(pathname) ?? [];
  if (operation !== undefined) return progressOf(decodeURIComponent(operation), world);
  const [, name = "", action] = /^\/api\/v1\/containers\/([^/]+)(\/action)?$/.exec(pathname) ?? [];
  const place = `${searchParams.get("project") ?? "default"}/${decodeURIComponent(name)}`;
  const container = world.containers.get(place);
  if (container === undefined) return problem(404, `there is no container ${place}`);
  if (action === undefined)
    return { status: 200, body: { name: decodeURIComponent(name), ...container } };
  return act(request, searchParams.get("dryRun") === "true", { place, container, world });
}

function act(
  request: HypervisorRequest,
  dryRun: boolean,
  { place, container, world }: { place: string; container: FakeContainer; world: World },
): Answer {
  const { key = "", body } = request;
  const of = `${place} ${body}`;
  const before = world.known.get(key);
  if (before !== undefined)
    return before.of === of ? before.answer : problem(422, "the key belongs to another request");
  const busy = world.busy.get(place);
  if (busy !== undefined) return problem(409, busy);
  if ((JSON.parse(body) as { action?: string }).action !== "restart")
    return problem(400, "action: only restart is known here");
  if (dryRun) return { status: 200, body: { dry_run: true } };
  const id = `op-${world.known.size + 1}`;
  const answer = {
    status: 202,
    headers: { location: `/progress/${id}` },
    body: { workflow_id: id },
  };
  if (key !== "") world.known.set(key, { of, answer });
  world.running.set(id, world.operations.looks);
  request.effective = true;
  if (world.operations.end.status === "completed") {
    restarts += 1;
    container.started_at = new Date(
      Date.parse("2026-11-21T03:00:00Z") + restarts * 1000,
    ).toISOString();
  }
  return answer;
}

/** No two starts have the same time. */
let restarts = 0;

function progressOf(id: string, { running, operations }: World): Answer {
  const left = running.get(id);
  if (left === undefined) return problem(404, `there is no operation ${id}`);
  running.set(id, left - 1);
  const body = left > 0 ? { status: "in_progress" } : operations.end;
  return { status: 200, body: { workflow_id: id, ...body } };
}

function problem(status: number, detail: string): Answer {
  return { status, body: { type: "about:blank", status, title: "Refused", detail } };
}
