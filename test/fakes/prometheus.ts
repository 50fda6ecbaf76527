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
  | { readonly body: string }
  | "hang"
  | "truncate"
  | "reset";

export interface FakePrometheus {
  readonly url: string;
  readonly requests: FakeRequest[];
  readonly faults: FakeFault[];
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
  const server = createServer((request, response) => {
    void answer(request, response, { series, requests, faults });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    faults,
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
  };
}

interface Script {
  readonly series: (expr: string) => readonly FakeSeries[];
  readonly requests: FakeRequest[];
  readonly faults: FakeFault[];
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { series, requests, faults }: Script,
): Promise<void> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  const form = new URLSearchParams(body);
  const path = request.url ?? "";
  requests.push({ path, form, authorization: request.headers.authorization });
  const fault = faults.shift();
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
    send(response, "status" in fault ? fault.status : 200, fault.body ?? "");
  }
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-type": "application/json" }).end(body);
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
