import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { answerMethod, type SlackMessage, type SlackWorld } from "./slack-methods.ts";

/** One request as it came: a Web API method, or `response_url`. */
interface SlackRequest {
  /** Such as `chat.postMessage`; `response_url` for an answer to a click. */
  readonly method: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly token: string | undefined;
  /** Milliseconds of this machine's clock. */
  readonly at: number;
}

/**
 * What happens to a request instead of the normal answer. `error` is Slack's HTTP 200 with `ok: false`; `late` does what
 * was asked and then never answers: the caller cannot know.
 */
type SlackFault =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  | { readonly error: string }
  | "hang"
  | "reset"
  | "late";

export interface FakeSlack {
  /** For SLACK_API_URL: ends with `/api/`. */
  readonly apiUrl: string;
  /** For a click's `response_url`. */
  readonly responseUrl: string;
  readonly token: string;
  readonly requests: SlackRequest[];
  /** Taken one per request, in order, whatever the method. */
  readonly faults: SlackFault[];
  /** What happens to every call of a method, until it is taken out. */
  readonly broken: Map<string, SlackFault>;
  /** The messages as they stand now, the oldest first. */
  readonly messages: SlackMessage[];
  /** Ids of the channels that the app is in. */
  readonly channels: Set<string>;
  /** Members by usergroup id. */
  readonly usergroups: Map<string, readonly string[]>;
  /** The app's rights; a method that lacks its right answers `missing_scope`. */
  readonly scopes: Set<string>;
  /** Requests of one method, or of `response_url`. */
  calls(method: string): readonly SlackRequest[];
  stop(): Promise<void>;
}

const TOKEN = "xoxb-fake-bot-token-0123456789";

/** Slack's Web API as far as Fettle uses it, with its refusals, scripted faults and a log of every request. */
export async function startSlack(): Promise<FakeSlack> {
  const world: SlackWorld = {
    token: TOKEN,
    messages: [],
    channels: new Set(["C0FETTLE"]),
    usergroups: new Map(),
    scopes: new Set(["chat:write", "channels:history", "usergroups:read", "users:read"]),
  };
  const requests: SlackRequest[] = [];
  const faults: SlackFault[] = [];
  const broken = new Map<string, SlackFault>();
  const script = { world, requests, faults, broken };
  const server = createServer((request, response) => {
    void answer(request, response, script);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...world,
    apiUrl: `http://127.0.0.1:${port}/api/`,
    responseUrl: `http://127.0.0.1:${port}/response/T0FETTLE/1/secretpart`,
    requests,
    faults,
    broken,
    calls: (method) => requests.filter((request) => request.method === method),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Script {
  readonly world: SlackWorld;
  readonly requests: SlackRequest[];
  readonly faults: SlackFault[];
  readonly broken: ReadonlyMap<string, SlackFault>;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { world, requests, faults, broken }: Script,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { pathname } = new URL(request.url ?? "/", "http://slack");
  const method = pathname.startsWith("/response/") ? "response_url" : pathname.replace("/api/", "");
  const body = bodyOf(request, Buffer.concat(chunks).toString("utf8"));
  const token = request.headers.authorization?.replace(/^Bearer /, "") ?? tokenIn(body);
  requests.push({ method, body, token, at: Date.now() });
  const fault = faults.shift() ?? broken.get(method);
  if (fault !== undefined && fault !== "late") {
    misbehave(fault, request, response);
    return;
  }
  const said = method === "response_url" ? "ok" : answerMethod(method, { ...body, token }, world);
  if (fault !== "late") send(response, said);
}

function misbehave(
  fault: Exclude<SlackFault, "late">,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (fault === "reset") request.socket.destroy();
  if (typeof fault === "string") return;
  if ("error" in fault) send(response, { ok: false, error: fault.error });
  else response.writeHead(fault.status, fault.headers).end(fault.body ?? "");
}

function send(response: ServerResponse, body: object | string): void {
  const [type, text] =
    typeof body === "string" ? ["text/html", body] : ["application/json", JSON.stringify(body)];
  response.writeHead(200, { "content-type": type }).end(text);
}

function tokenIn({ token }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof token === "string" ? token : undefined;
}

/** JSON, or a form whose structured fields (`blocks`, `metadata`) are JSON texts: Slack takes both. */
function bodyOf(request: IncomingMessage, text: string): Record<string, unknown> {
  if (request.headers["content-type"]?.includes("json") === true)
    return (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
  const form = [...new URLSearchParams(text)];
  return Object.fromEntries(form.map(([name, value]) => [name, structured(value)]));
}

function structured(value: string): unknown {
  return /^[[{]/.test(value) ? JSON.parse(value) : value;
}
