import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { silentLog } from "../../../lib/log.ts";
import { Secret } from "../../../lib/secret.ts";
import { hypervisorLogs } from "../../../runbooks/adapters/collector/hypervisor-logs.ts";
import { prometheusRanges } from "../../../runbooks/adapters/collector/prometheus-ranges.ts";
import { lineChart } from "../../../runbooks/collect/chart.ts";

let url = "";
let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;
const server = createServer((request, response) => {
  answer(request, response);
});
const patient = () => AbortSignal.timeout(20_000);

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, "close");
});

const request = {
  query: "up",
  from: new Date(1_000_000),
  to: new Date(1_060_000),
  stepSeconds: 15,
};

test("a range is asked as a form, with the token, and NaN is kept apart from numbers", async () => {
  let asked = "";
  answer = (incoming, response) => {
    incoming.on("data", (chunk: Buffer) => {
      asked += chunk.toString();
    });
    incoming.on("end", () => {
      expect(incoming.headers.authorization).toBe("Bearer a-token");
      const result = [{ metric: { pod: "a" }, values: [[1000, "1.5"], [1015, "NaN"]] }]; // prettier-ignore
      response.end(JSON.stringify({ status: "success", data: { resultType: "matrix", result } }));
    });
  };

  const series = await prometheusRanges({ url, token: new Secret("a-token") }, silentLog).range(
    request,
    patient(),
  );

  expect(Object.fromEntries(new URLSearchParams(asked))).toEqual({
    query: "up",
    start: "1000",
    end: "1060",
    step: "15",
  });
  expect(series).toEqual([{ labels: { pod: "a" }, points: [[1000, 1.5], [1015, NaN]] }]); // prettier-ignore
});

test.each([
  [400, '{"status":"error","error":"parse error at char 3"}', "answered 400 parse error at char 3"],
  [503, "<html>no</html>", "answered 503"],
  [200, '{"status":"success","data":{"resultType":"vector","result":[]}}', "something else"],
  [200, "<html>Welcome</html>", "something else"],
])("what Prometheus says wrong is told: %i %s", async (status, body, expected) => {
  answer = (_, response) => response.writeHead(status).end(body);

  await expect(prometheusRanges({ url }, silentLog).range(request, patient())).rejects.toThrow(
    expected,
  );
});

test.each([
  ["text/plain", "one\ntwo", "one\ntwo"],
  ["application/json", '["one","two"]', "one\ntwo"],
  ["application/json", '{"lines":["one",{"level":"warn"}]}', 'one\n{"level":"warn"}'],
  ["application/json", '{"logs":"one\\ntwo"}', "one\ntwo"],
  ["application/json", "not json", "not json"],
])("a container's log comes as %s: %s", async (type, body, expected) => {
  let path = "";
  answer = (incoming, response) => {
    path = incoming.url ?? "";
    response.writeHead(200, { "content-type": type }).end(body);
  };

  const text = await hypervisorLogs({ url, token: new Secret("t") }, silentLog).logs(
    { namespace: "shop", name: "a/b" },
    50,
    patient(),
  );

  expect(text).toBe(expected);
  expect(path).toBe("/api/v1/containers/a%2Fb/logs?project=shop&lines=50");
});

test("a hypervisor that refuses says so", async () => {
  answer = (_, response) => response.writeHead(403).end();

  await expect(
    hypervisorLogs({ url }, silentLog).logs({ name: "web" }, 50, patient()),
  ).rejects.toThrow("the hypervisor answered 403");
});

test("a chart shows each series, gaps as gaps, and other people's text as text", () => {
  const svg = lineChart({
    title: "<script>alert(1)</script>",
    series: [
      { labels: { pod: '"><script>' }, points: [[0, 1], [15, NaN], [30, 3]] }, // prettier-ignore
      { labels: {}, points: [[0, 2], [60, 2]] }, // prettier-ignore
    ],
    from: new Date(0),
    to: new Date(60_000),
    alertAt: new Date(30_000),
  });

  expect(svg).not.toContain("<script");
  expect([...svg.matchAll(/<path\s+d="([^"]*)"/g)].map(([, path]) => path)).toEqual([
    "M70.0 260.0M435.0 24.0",
    "M70.0 142.0L800.0 142.0",
  ]);
  expect(svg).toMatch(/<line\s+x1="435\.0"/);
});

test("a chart of nothing, and of one number, is a chart", () => {
  const about = { title: "t", from: new Date(0), to: new Date(0), alertAt: new Date(9) };

  expect(lineChart({ ...about, series: [] })).toContain("</svg>");
  const svg = lineChart({ ...about, series: [{ labels: {}, points: [[0, 5]] }] });
  expect(svg).not.toMatch(/NaN|Infinity/);
});
