import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startLoki, type Loki } from "../../fakes/loki.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { startPrometheus, type Prometheus } from "../../servers/prometheus.ts";
import { givenHypervisor, type Hypervisor } from "../given.ts";

const RULES = `
groups:
  - name: test
    interval: 1s
    rules:
      - record: workflow_runs_total
        expr: vector(3)
      - alert: AlwaysThere
        expr: vector(1) > 0
        labels: { severity: warning }
        annotations: { summary: "it is always there" }
`;

let prometheus: Prometheus;
let loki: Loki;
let given: Hypervisor;
beforeAll(async () => {
  prometheus = await startPrometheus({ rules: [RULES] });
  loki = await startLoki();
  given = await givenHypervisor({
    PROM_URL: prometheus.url,
    LOKI_URL: loki.url,
    HYPERVISOR_BACKEND: "memory",
  });
  await waitUntil("the alert", async () => {
    const { body } = await given.send("/api/v1/metrics/query?query=ALERTS");
    return (body["result"] as readonly unknown[]).length > 0;
  });
});
afterAll(async () => {
  await given.stop();
  await prometheus.stop();
  await loki.stop();
});

test("Prometheus is asked at one time and over a range, and answers in its own form", async () => {
  const one = await given.send("/api/v1/metrics/query?query=vector(7)&time=1700000000");
  expect([one.status, one.body]).toEqual([
    200,
    {
      resultType: "vector",
      result: [{ metric: {}, value: [1_700_000_000, "7"] }],
      warnings: [],
    },
  ]);
  const range = await given.send(
    "/api/v1/metrics/query?query=time()&start=1700000000&end=1700000060&step=30s",
  );
  expect(range.body["result"]).toEqual([
    {
      metric: {},
      values: [
        [1_700_000_000, "1700000000"],
        [1_700_000_030, "1700000030"],
        [1_700_000_060, "1700000060"],
      ],
    },
  ]);
  expect((await given.send("/api/v1/metrics/query?query=1")).body).toEqual(
    expect.objectContaining({ resultType: "scalar", result: [expect.any(Number), "1"] }),
  );
});

test("what is asked wrongly is the caller's, with Prometheus' own words", async () => {
  const wrong = await given.send(`/api/v1/metrics/query?query=${encodeURIComponent("up{")}`);
  expect([wrong.status, wrong.detail]).toEqual([
    400,
    expect.stringMatching(/^Prometheus says: .*parse error/),
  ]);
  const half = await given.send("/api/v1/metrics/query?query=up&start=1700000000");
  expect([half.status, half.detail]).toEqual([400, expect.stringContaining("belong together")]);
  const huge = await given.send("/api/v1/metrics/query?query=up&start=1&end=1700000000&step=1s");
  expect([huge.status, huge.detail]).toEqual([400, expect.stringContaining("11,000 points")]);
});

test("alerts that fire, at both of their addresses", async () => {
  await waitUntil("the alert", async () => {
    const { body } = await given.send("/monitoring/alerts");
    return (body["alerts"] as readonly unknown[]).length > 0;
  });
  for (const path of ["/api/v1/metrics/alerts", "/monitoring/alerts"]) {
    const { body } = await given.send(path);
    expect(body).toEqual({
      alerts: [
        {
          name: "AlwaysThere",
          state: "firing",
          severity: "warning",
          labels: { alertname: "AlwaysThere", severity: "warning" },
          annotations: { summary: "it is always there" },
          active_at: expect.stringMatching(/^\d{4}-/),
          value: "1e+00",
        },
      ],
      total: 1,
    });
  }
});

test("metrics by name, those of workflows alone, and one with its series", async () => {
  const names = async (path: string) =>
    ((await given.send(path)).body["metrics"] as readonly { name: string }[]).map(
      ({ name }) => name,
    );
  await waitUntil("the metric", async () =>
    (await names("/monitoring/workflows/metrics")).includes("workflow_runs_total"),
  );
  expect(await names("/monitoring/workflows/metrics")).toEqual(["workflow_runs_total"]);
  expect(await names("/monitoring/metrics")).toEqual(
    expect.arrayContaining(["ALERTS", "workflow_runs_total"]),
  );
  const one = await given.send("/monitoring/workflows/metrics/workflow_runs_total");
  expect(one.body).toEqual({
    name: "workflow_runs_total",
    type: "unknown",
    help: "",
    series: [
      { labels: { __name__: "workflow_runs_total" }, timestamp: expect.any(Number), value: "3" },
    ],
    total: 1,
    truncated: false,
  });
  expect((await given.send("/monitoring/workflows/metrics/ALERTS")).status).toBe(404);
  expect((await given.send("/monitoring/metrics/a%22b")).status).toBe(400);
});

test("without a Grafana the dashboards are those that we ship", async () => {
  const { body } = await given.send("/api/v1/metrics/dashboards");
  const all = body["dashboards"] as readonly { title: string; url: string; uid: string }[];
  expect(all.length).toBeGreaterThan(10);
  expect(all.every(({ url, uid }) => url === `/grafana/d/${uid}`)).toBe(true);
});

test("each permission opens its own routes and no other", async () => {
  const paths = {
    "metrics:read": "/api/v1/metrics/query?query=1",
    "monitoring:read": "/monitoring/alerts",
    "dashboards:read": "/api/v1/metrics/dashboards",
  };
  const person = await given.person("Custom", { permissions: ["metrics:read"] });
  for (const [permission, path] of Object.entries(paths)) {
    const { status } = await given.send(path, { as: person.token });
    expect([permission, status]).toEqual([permission, permission === "metrics:read" ? 200 : 403]);
  }
});

test("the proxy leads to Prometheus' own API and pages, but not to what changes or ends it", async () => {
  const query = await fetch(`${given.url}/prometheus/api/v1/query`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${(await given.person("developer")).token}`,
      "content-type": "application/x-www-form-urlencoded",
    },
    body: "query=vector(5)",
  });
  expect([query.status, await query.json()]).toEqual([
    200,
    expect.objectContaining({ status: "success" }),
  ]);
  for (const [method, path] of [
    ["POST", "/prometheus/-/quit"],
    ["POST", "/prometheus/-/reload"],
    ["POST", "/prometheus/api/v1/admin/tsdb/snapshot"],
    ["POST", "/prometheus/api/v1/write"],
    ["GET", "/prometheus/debug/pprof/heap"],
    ["GET", "/prometheus/%64ebug/pprof/heap"],
    ["GET", "/prometheus//debug/pprof/heap"],
    ["POST", "/prometheus/%2d/quit"],
    ["DELETE", "/prometheus/api/v1/series"],
    ["POST", "/loki/loki/api/v1/push"],
    ["GET", "/loki/config"],
    ["GET", "/loki/confi%67"],
    ["POST", "/loki/flush"],
  ] as const)
    expect([path, (await given.send(path, { method })).status]).toEqual([path, 403]);
  expect((await given.send("/grafana/")).status).toBe(503);
});

test("what is down shows in /health and does not make the service unready", async () => {
  const health = async () => (await given.send("/health", { as: "" })).body;
  expect(await health()).toEqual(
    expect.objectContaining({
      status: "healthy",
      checks: {
        database: { ok: true },
        backend: { ok: true },
        prometheus: { ok: true },
        loki: { ok: true },
      },
    }),
  );
  loki.fail(500);
  await waitUntil("the failure", async () => (await health())["status"] === "degraded");
  expect((await health())["checks"]).toEqual(
    expect.objectContaining({ loki: { ok: false, detail: "does not answer" } }),
  );
  expect((await given.send("/ready", { as: "" })).status).toBe(200);
  loki.fail(undefined);
});
