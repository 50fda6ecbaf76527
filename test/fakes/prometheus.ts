import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeSeries {
  readonly labels: Readonly<Record<string, string>>;
  /** The sample at a time in milliseconds; undefined where there is none. */
  readonly value: (ms: number) => number | undefined;
}

interface FakeRequest {
  readonly path: string;
  readonly form: URLSearchParams;
  readonly authorization: string | undefined;
}

/** What to do instead of answering; the scripted faults are taken one per request, in order. */
export type FakeFault =
  | { readonly status: number; readonly body?: string }
  | { readonly body: string | Uint8Array; readonly headers?: Readonly<Record<string, string>> }
  | "hang"
  | "truncate"
  | "reset";

export interface FakePrometheus {
  readonly url: string;
  readonly requests: FakeRequest[];
  readonly faults: FakeFault[];
  /** What happens to every question with this expression, until it is taken out. */
  readonly broken: Map<string, FakeFault>;
  /** How far its clock is behind this machine's, as its answers say (`Date`). */
  clockBehindMs: number;
  /** Ends every request under way, those that hang too. */
  dropConnections(): void;
  stop(): Promise<void>;
}

/** Prometheus' query API over canned functions: instant and range queries, and scripted faults. */
export async function startFakePrometheus(
  series: (expr: string) => readonly FakeSeries[],
): Promise<FakePrometheus> {
  const requests: FakeRequest[] = [];
  const faults: FakeFault[] = [];
  const broken = new Map<string, FakeFault>();
  const script = { series, requests, faults, broken };
  const clock = { clockBehindMs: 0 };
  const server = createServer((request, response) => {
    response.setHeader("date", new Date(Date.now() - clock.clockBehindMs).toUTCString());
    void answer(request, response, script);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(clock, {
    url: `http://127.0.0.1:${port}`,
    requests,
    faults,
    broken,
    dropConnections: () => {
      server.closeAllConnections();
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
    },
  });
}

interface Script {
  readonly series: (expr: string) => readonly FakeSeries[];
  readonly requests: FakeRequest[];
  readonly faults: FakeFault[];
  readonly broken: ReadonlyMap<string, FakeFault>;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { series, requests, faults, broken }: Script,
): Promise<void> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  const form = new URLSearchParams(body);
  const path = request.url ?? "";
  requests.push({ path, form, authorization: request.headers.authorization });
  const fault = faults.shift() ?? broken.get(form.get("query") ?? "");
  if (fault === "hang") return;
  if (fault === "reset") {
    request.socket.destroy();
    return;
  }
  const data = JSON.stringify({ status: "success", data: result(path, form, series) });
  if (fault === undefined) {
    send(response, 200, data);
  } else if (fault === "truncate") {
    send(response, 200, data.slice(0, data.length / 2));
  } else {
    const more = "headers" in fault ? fault.headers : {};
    send(response, "status" in fault ? fault.status : 200, fault.body ?? "", more);
  }
}

function send(
  response: ServerResponse,
  status: number,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
}

function result(path: string, form: URLSearchParams, series: Script["series"]): unknown {
  const all = series(form.get("query") ?? "");
  const sample = (one: FakeSeries, ms: number): [number, string] | undefined => {
    const value = one.value(ms);
    return value === undefined ? undefined : [ms / 1000, promText(value)];
  };
  if (path === "/api/v1/query") {
    const ms = Number(form.get("time")) * 1000;
    return {
      resultType: "vector",
      result: all.flatMap((one) => {
        const value = sample(one, ms);
        return value === undefined ? [] : [{ metric: one.labels, value }];
      }),
    };
  }
  const [start, end, step] = ["start", "end", "step"].map((name) => Number(form.get(name)) * 1000);
  const times: number[] = [];
  for (let ms = start ?? 0; ms <= (end ?? 0); ms += step ?? 1) times.push(ms);
  return {
    resultType: "matrix",
    result: all.flatMap((one) => {
      const values = times.flatMap((ms) => {
        const at = sample(one, ms);
        return at === undefined ? [] : [at];
      });
      return values.length === 0 ? [] : [{ metric: one.labels, values }];
    }),
  };
}

function promText(value: number): string {
  return value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value);
}
