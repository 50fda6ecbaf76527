import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

type Labels = Readonly<Record<string, string>>;

export interface Loki {
  readonly url: string;
  /** As `POST /loki/api/v1/push` does. */
  readonly push: (labels: Labels, values: readonly (readonly [bigint, string])[]) => void;
  /** Of each request: its address and form. */
  readonly asked: readonly { readonly path: string; readonly form: URLSearchParams }[];
  /** While set, every request is answered with it. */
  readonly fail: (status: number | undefined) => void;
  readonly stop: () => Promise<void>;
}

interface Stream {
  readonly labels: Labels;
  readonly values: { readonly at: bigint; readonly text: string }[];
}

/** Loki's own default of `max_entries_limit_per_query`. */
const ENTRIES_MAX = 5_000;

/** The protocol of a Loki: push, query_range with line filters (LogQL), labels, ready, and tail as a WebSocket that sends one message. */
export async function startLoki(): Promise<Loki> {
  const streams = new Map<string, Stream>();
  const asked: { path: string; form: URLSearchParams }[] = [];
  let failing: number | undefined;
  const push: Loki["push"] = (labels, values) => {
    const key = JSON.stringify(Object.entries(labels).sort());
    const stream = streams.get(key) ?? { labels, values: [] };
    streams.set(key, stream);
    for (const [at, text] of values) {
      // An entry that agrees in all is the same entry, as in Loki.
      if (stream.values.at(-1)?.at === at && stream.values.at(-1)?.text === text) continue;
      stream.values.push({ at, text });
      if ((stream.values.at(-2)?.at ?? 0n) > at)
        stream.values.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
    }
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://loki");
    const body = await textOf(request);
    const isForm = request.headers["content-type"] === "application/x-www-form-urlencoded";
    const form = isForm ? new URLSearchParams(body) : searchParams;
    asked.push({ path: pathname, form });
    if (failing !== undefined) response.writeHead(failing).end("failing");
    else if (pathname === "/ready") response.end("ready");
    else if (pathname === "/loki/api/v1/push") {
      const pushed = JSON.parse(body) as {
        readonly streams: readonly { stream: Labels; values: readonly [string, string][] }[];
      };
      for (const { stream, values } of pushed.streams)
        push(
          stream,
          values.map(([at, text]) => [BigInt(at), text]),
        );
      response.writeHead(204).end();
    } else if (pathname === "/loki/api/v1/query_range") {
      tell(response, form, streams);
    } else {
      const label = /^\/loki\/api\/v1\/label\/(\w+)\/values$/.exec(pathname)?.[1];
      if (label === undefined) response.writeHead(404).end("404 page not found\n");
      else {
        const data = [...streams.values()].flatMap(({ labels }) => labels[label] ?? []);
        sendJson(response, { status: "success", data: [...new Set(data)] });
      }
    }
  };
  const server = createServer((request, response) => {
    void answer(request, response);
  });
  const sockets = new WebSocketServer({ server, path: "/loki/api/v1/tail" });
  sockets.on("connection", (socket) => {
    socket.send(JSON.stringify({ streams: [] }));
    socket.on("message", (data: Buffer) => {
      socket.send(data.toString("utf8"));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    push,
    asked,
    fail: (status) => {
      failing = status;
    },
    stop: async () => {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.setHeader("content-type", "application/json").end(JSON.stringify(body));
}

function tell(
  response: ServerResponse,
  form: URLSearchParams,
  streams: ReadonlyMap<string, Stream>,
) {
  const query = parseLogql(form.get("query") ?? "");
  const limit = Number(form.get("limit") ?? "100");
  if (query === undefined || !(limit > 0)) {
    response.writeHead(400).end("parse error at line 1, col 1: syntax error");
    return;
  }
  if (limit > ENTRIES_MAX) {
    const said = `max entries limit per query exceeded, limit > max_entries_limit (${limit} > ${ENTRIES_MAX})`;
    response.writeHead(400).end(said);
    return;
  }
  const [start, end] = [BigInt(form.get("start") ?? "0"), BigInt(form.get("end") ?? "0")];
  const way = form.get("direction") === "forward" ? 1 : -1;
  const found = [...streams.values()]
    .filter(({ labels }) => query.selects(labels))
    .flatMap(({ labels, values }) =>
      values
        .slice(firstFrom(values, start), firstFrom(values, end))
        .filter(({ text }) => query.keeps(text))
        .map((value) => ({ labels, ...value })),
    )
    .sort((a, b) => way * (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    .slice(0, limit);
  const byStream = Map.groupBy(found, ({ labels }) => labels);
  const result = [...byStream].map(([stream, lines]) => ({
    stream,
    values: lines.map(({ at, text }) => [String(at), text]),
  }));
  sendJson(response, { status: "success", data: { resultType: "streams", result, stats: {} } });
}

function firstFrom(values: Stream["values"], at: bigint): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle]?.at ?? at) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Query {
  readonly selects: (labels: Labels) => boolean;
  readonly keeps: (text: string) => boolean;
}

const STRING = String.raw`"((?:[^"\\\n]|\\.)*)"`;

/** `{label="value"}` and any of `|= "text"`, `!= "text"`, `|~ "pattern"`; everything else is an error, as it would be there. */
function parseLogql(query: string): Query | undefined {
  const selector = new RegExp(String.raw`^\{(\w+)=${STRING}\}`).exec(query);
  if (selector === null) return undefined;
  const [all, label, raw] = selector as unknown as readonly [string, string, string];
  const value = unquote(raw);
  if (value === undefined || value === "") return undefined;
  const filters: ((text: string) => boolean)[] = [];
  let rest = query.slice(all.length).trim();
  while (rest !== "") {
    const filter = new RegExp(String.raw`^(\|=|!=|\|~)\s*${STRING}`).exec(rest);
    const [whole = "", operator = "", quoted = ""] = filter ?? [];
    const text = unquote(quoted);
    if (filter === null || text === undefined) return undefined;
    filters.push(filterOf(operator, text));
    rest = rest.slice(whole.length).trim();
  }
  return {
    selects: (labels) => labels[label] === value,
    keeps: (line) => filters.every((filter) => filter(line)),
  };
}

function filterOf(operator: string, text: string): (line: string) => boolean {
  if (operator === "|=") return (line) => line.includes(text);
  if (operator === "!=") return (line) => !line.includes(text);
  const pattern = new RegExp(text.replace(/^\(\?i\)/, ""), text.startsWith("(?i)") ? "i" : "");
  return (line) => pattern.test(line);
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["b", "\b"],
  ["f", "\f"],
  ["v", "\v"],
  ["a", "\x07"],
  ["\\", "\\"],
  ['"', '"'],
]);

/** Go's escapes; a half of a surrogate pair is none of them. */
function unquote(raw: string): string | undefined {
  try {
    return raw.replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)/gs, (_all, escape: string) => {
      const known = ESCAPES.get(escape);
      if (known !== undefined) return known;
      const code = parseInt(escape.slice(1), 16);
      if (Number.isNaN(code) || (code >= 0xd800 && code < 0xe000)) throw new Error("no escape");
      return String.fromCharCode(code);
    });
  } catch {
    return undefined;
  }
}
