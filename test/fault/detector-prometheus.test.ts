import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readDetectorConfig, startDetector, type Anomaly } from "../../detector/main.ts";
import type { RunningService } from "../../lib/lifecycle.ts";
import { silentLog } from "../../lib/log.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { noiseAt, startMetricsTarget, type MetricsTarget } from "../fakes/metrics-target.ts";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { startPrometheus, type Prometheus } from "../servers/prometheus.ts";

const HISTORY_SECONDS = 700;

let target: MetricsTarget;
let proxy: TcpProxy;
let late: TcpProxy;
let prometheus: Prometheus;
let service: RunningService;
const anomalies: Anomaly[] = [];

beforeAll(async () => {
  target = await startMetricsTarget(0.3);
  const [host = "", port = ""] = target.target.split(":");
  proxy = await startTcpProxy({ host, port: Number(port) });
  late = await startTcpProxy({ host, port: Number(port) });
  await late.setMode({ kind: "refuse" });
  prometheus = await startPrometheus({
    scrape: [
      { job: "shop", target: `127.0.0.1:${proxy.port}` },
      { job: "late", target: `127.0.0.1:${late.port}` },
    ],
    history: historyOf(`127.0.0.1:${proxy.port}`),
  });
  await prometheus.waitForTarget("shop");
  // Until the second target was tried too, the clash is none.
  await waitUntil("both targets to be tried", async () => (await targetsTried()) === 2);
  const config = readDetectorConfig({
    PROM_URL: prometheus.url,
    AIOPS_METRICS: [
      "good=shop_latency_seconds",
      "broken=sum(up",
      'clash=label_replace(up, "job", "", "instance", ".*") * on(job) label_replace(up, "job", "", "instance", ".*")',
    ].join(";"),
    AIOPS_INTERVAL_SECONDS: "1",
    AIOPS_BACKFILL_POINTS: "600",
    DETECTOR_PORT: "0",
  });
  const onAnomaly = (anomaly: Anomaly) => void anomalies.push(anomaly);
  service = await startDetector(config, silentLog, { onAnomaly });
});

afterAll(async () => {
  await service.stop();
  await prometheus.stop();
  await Promise.all([proxy.stop(), late.stop(), target.stop()]);
});

async function targetsTried(): Promise<number> {
  const answer = await fetch(`${prometheus.url}/api/v1/query?query=up`);
  const { data } = (await answer.json()) as { readonly data: { readonly result: unknown[] } };
  return data.result.length;
}

/** Ten minutes of the same gauge, one sample a second, as Prometheus would have scraped it. */
function historyOf(instance: string): string {
  const now = Math.floor(Date.now() / 1000);
  const labels = `namespace="shop",app="checkout",job="shop",instance="${instance}"`;
  const samples = Array.from({ length: HISTORY_SECONDS }, (_, at) => {
    const value = 0.3 * (1 + 0.02 * noiseAt(at));
    return `shop_latency_seconds{${labels}} ${value} ${now - HISTORY_SECONDS + at}`;
  });
  return `# TYPE shop_latency_seconds gauge\n${samples.join("\n")}\n# EOF\n`;
}

async function get(path: string): Promise<string> {
  return (await fetch(`${service.url ?? ""}${path}`)).text();
}

async function said(): Promise<string> {
  const { checks } = JSON.parse(await get("/ready")) as {
    checks: { prometheus: { detail: string } };
  };
  return checks.prometheus.detail;
}

/** Series of the good metric that have a score. The clash is none in a moment in which only one target is there. */
async function watched(): Promise<number> {
  const lines = (await get("/metrics")).split("\n");
  return lines.filter((line) => /^aiops_anomaly_score\{[^}]*metric="good"/.test(line)).length;
}

test("expressions that Prometheus refuses are named, with its own words; the others are watched on", async () => {
  await waitUntil("the good metric", async () => (await watched()) > 0);
  await waitUntil("the bad ones", async () => (await said()).includes("clash"));

  const ready = await said();
  expect(ready).toMatch(/broken: bad_query Prometheus answered 400: .*parse error/);
  expect(ready).toMatch(
    /clash: bad_query Prometheus answered 422: .*(duplicate|same labelset|matching)/,
  );
  expect(ready).not.toMatch(/good:/);
  expect(await get("/")).toMatch(/broken: not answered \(bad_query: .*parse error/);
  const metrics = await get("/metrics");
  for (const name of ["broken", "clash"]) {
    expect(metrics).toMatch(
      new RegExp(`aiops_query_errors_total\\{metric="${name}",kind="bad_query"[^}]*\\} [1-9]`),
    );
  }
  expect(metrics).not.toMatch(/aiops_query_errors_total\{metric="good"/);
  expect(anomalies.filter(({ metric }) => metric !== "good")).toEqual([]);
});

test("all the answers above were packed", async () => {
  const answer = await new Promise<{ encoding: string | undefined }>((resolve, reject) => {
    const url = `${prometheus.url}/api/v1/query?query=up`;
    const headers = { "accept-encoding": "gzip" };
    request(url, { headers }, (response) => {
      response.resume();
      resolve({ encoding: response.headers["content-encoding"] });
    })
      .on("error", reject)
      .end();
  });
  expect(answer.encoding).toBe("gzip");
});

test("a target that dies leaves a stale marker: its series is missed within seconds, long before Prometheus would forget it", async () => {
  const since = Date.now();
  // A machine that stood still for seconds may have missed the series before.
  const news = () => anomalies.filter(({ openedAt }) => openedAt >= since);
  await proxy.setMode({ kind: "refuse" });

  await waitUntil("the anomaly", async () => news().length > 0);
  const [gone] = news();
  expect(gone).toMatchObject({ metric: "good", reason: "stale_scrape", labels: { job: "shop" } });
  expect((gone?.openedAt ?? 0) - since).toBeLessThan(30_000);
  await proxy.setMode({ kind: "pass" });
  await waitUntil("its end", async () => news().length > 1);

  expect(news()[1]).toMatchObject({ id: gone?.id, closeCause: "recovered" });
});

test("a series that appears late is watched from its first point, and raises nothing", async () => {
  expect(await watched()).toBe(1);
  const before = anomalies.length;

  await late.setMode({ kind: "pass" });
  await waitUntil("the second series", async () => (await watched()) === 2);

  expect(anomalies).toHaveLength(before);
});
