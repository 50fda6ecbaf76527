import { gzipSync } from "node:zlib";
import { expect, test } from "@jest/globals";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import type { FakeFault } from "../fakes/prometheus.ts";
import { cleanups, givenService, text, until, type World } from "./given-service.ts";

/** The one metric's expression, which the faults are about; the other metric asks for "y". */
const METRICS = { AIOPS_METRICS: "latency_p99=x;other=y" };
const NEVER = 100_000;

interface Watching extends World {
  readonly url: string;
  readonly proxy: TcpProxy;
}

/** A detector that has watched two metrics for two minutes, through a proxy that can break the connection. */
async function given(env: Record<string, string> = {}, shiftFrom = NEVER): Promise<Watching> {
  const world = await givenService(shiftFrom);
  const { hostname: host, port } = new URL(world.prometheus.url);
  const proxy = await startTcpProxy({ host, port: Number(port) });
  cleanups.push(proxy.stop);
  const service = await world.start({
    ...METRICS,
    PROM_URL: `http://${proxy.host}:${proxy.port}`,
    ...env,
  });
  await world.minutes(2, service);
  return { ...world, url: service.url, proxy };
}

async function readiness(url: string): Promise<{ status: number; prometheus: string }> {
  const response = await fetch(`${url}/ready`);
  const { checks } = (await response.json()) as { checks: { prometheus: { detail: string } } };
  return { status: response.status, prometheus: checks.prometheus.detail };
}

async function metric(url: string, name: string, labels: string): Promise<number> {
  const line = (await text(url, "/metrics"))
    .split("\n")
    .find((one) => one.startsWith(`${name}{`) && one.includes(labels));
  return Number(line?.split(" ").at(-1) ?? 0);
}

/** Minutes that pass in one cycle. */
async function jump(minutes: number, { clock, url }: Watching): Promise<void> {
  const cycles = async () => metric(url, "aiops_cycle_duration_seconds_count", "");
  const before = await cycles();
  clock.move(minutes * 60_000);
  await until(async () => (await cycles()) > before);
}

const scored = async (url: string, name: string) =>
  metric(url, "aiops_series_scored_total", `metric="${name}"`);
const failed = async (url: string, name: string, kind: string) =>
  metric(url, "aiops_query_errors_total", `metric="${name}",kind="${kind}"`);

const refusal = (error: string) =>
  JSON.stringify({ status: "error", errorType: "bad_data", error });
/** 70 MB of blanks, as 70 kB. */
const bomb = gzipSync(Buffer.alloc(70_000_000, " "));

const faults: readonly (readonly [string, FakeFault, kind: string, words: string])[] = [
  ["does not answer in time", "hang", "unavailable", "does not answer"],
  ["breaks the connection", "reset", "unavailable", "does not answer"],
  ["has trouble", { status: 503, body: "" }, "unavailable", "answered 503"],
  ["wants another token", { status: 401, body: "" }, "unavailable", "answered 401"],
  [
    "refuses the expression",
    { status: 422, body: refusal("duplicate labelset") },
    "bad_query",
    "answered 422: duplicate labelset",
  ],
  ["breaks off its JSON", "truncate", "bad_answer", "not of its API's form"],
  ["is a proxy's page", { body: "<html>Log in</html>" }, "bad_answer", "not of its API's form"],
  [
    "sends too much, packed",
    { body: bomb, headers: { "content-encoding": "gzip" } },
    "too_large",
    "larger than 67108864 bytes",
  ],
];

test.each(faults)(
  "while Prometheus %s, that metric is said to fail, nothing is absent, and no minute is lost",
  async (_name, fault, kind, words) => {
    // Only what never comes is not waited for: a busy machine takes seconds to unpack what it refuses.
    const world = await given({ PROM_TIMEOUT_SECONDS: fault === "hang" ? "1" : "60" });
    const { url, prometheus } = world;
    const before = await scored(url, "latency_p99");
    prometheus.broken.set("x", fault);

    await world.minutes(1, { url });
    await jump(5, world); // longer than it takes to be called absent

    const { status, prometheus: detail } = await readiness(url);
    expect([status, detail]).toEqual([503, expect.stringContaining(`latency_p99: ${kind} `)]);
    expect(detail).toContain(words);
    expect(detail).not.toContain("other:");
    expect(await text(url, "/")).toContain(`latency_p99: not answered (${kind}: `);
    expect(await failed(url, "latency_p99", kind)).toBeGreaterThanOrEqual(2);
    expect(await failed(url, "other", kind)).toBe(0);

    prometheus.broken.clear();
    await world.minutes(1, { url });

    expect(await readiness(url)).toEqual({ status: 200, prometheus: "" });
    expect((await scored(url, "latency_p99")) - before).toBe(7);
    expect(await scored(url, "latency_p99")).toBe(await scored(url, "other"));
    expect(world.anomalies).toEqual([]);
  },
);

test("an incident that began while nobody could be asked is found by the first answer", async () => {
  const world = await given({}, 4);
  const { url, proxy } = world;
  await proxy.setMode({ kind: "refuse" });

  await world.minutes(6, { url });
  const { status, prometheus: detail } = await readiness(url);
  expect(status).toBe(503);
  for (const name of ["latency_p99", "other"]) {
    expect(detail).toContain(`${name}: unavailable Prometheus does not answer`);
    expect(await failed(url, name, "unavailable")).toBe(6);
  }
  expect(world.anomalies).toEqual([]);
  await proxy.setMode({ kind: "pass" });
  await world.minutes(1, { url });

  expect((await readiness(url)).status).toBe(200);
  expect(
    world.anomalies.map(({ reason, openedAt }) => [reason, new Date(openedAt).getUTCMinutes()]),
  ).toEqual([
    ["level_shift", 4],
    ["level_shift", 4],
  ]);
});

test("an answer that is cut off on its way is no answer", async () => {
  const world = await given();
  const { url, proxy } = world;
  await proxy.setMode({ kind: "cutAfter", bytes: 200 });

  await world.minutes(4, { url });
  expect(await failed(url, "latency_p99", "unavailable")).toBe(4);
  await proxy.setMode({ kind: "pass" });
  await world.minutes(1, { url });

  expect((await readiness(url)).status).toBe(200);
  expect(world.anomalies).toEqual([]);
});

test.each([
  ["NaN", NaN],
  ["+Inf", Infinity],
  ["-Inf", -Infinity],
])(
  "minutes with %s are neither scored nor missed, and the next number is scored",
  async (_name, value) => {
    const world = await given();
    const { url } = world;
    const before = await scored(url, "latency_p99");
    world.rewrite((old, minute) => (minute > 2 && minute <= 12 ? value : old));

    await world.minutes(10, { url });
    const page = await text(url, "/");
    expect(await readiness(url)).toEqual({ status: 200, prometheus: "" });
    await world.minutes(3, { url });

    expect(page).toContain("latency_p99: answered.");
    expect(world.anomalies).toEqual([]);
    expect(await metric(url, "aiops_anomaly_score", 'metric="latency_p99"')).toBeGreaterThan(0);
    expect(await scored(url, "latency_p99")).toBeGreaterThanOrEqual(before + 3);
  },
);

test("points that come two minutes late are not missed; what came after is watched on", async () => {
  const world = await given({}, 20);
  const { url } = world;
  let newest = NEVER;
  world.rewrite((value, minute) => (minute > newest ? undefined : value));

  newest = 2;
  await world.minutes(2, { url });
  newest = NEVER; // minutes 3 and 4 are there now, but were asked for in vain
  await world.minutes(20, { url });

  expect(world.anomalies.map(({ reason }) => reason)).toEqual(["level_shift", "level_shift"]);
  expect(await failed(url, "latency_p99", "unavailable")).toBe(0);
});

/** What a server that merges several sources may say: the same series twice, and words about it. */
function merged(at: number): FakeFault {
  const sample = (value: string) => ({
    metric: { namespace: "shop", app: "checkout" },
    value: [at / 1000, value],
  });
  return {
    body: JSON.stringify({
      status: "success",
      warnings: ["PromQL warning: merged from two sources"],
      infos: ["PromQL info: metric might not be a counter"],
      data: { resultType: "vector", result: [sample("100"), sample("9000")] },
    }),
    headers: { "x-more": "1" },
  };
}

test("a series that is given twice counts once, and warnings are no failure", async () => {
  const world = await given();
  const { url, prometheus } = world;
  const before = await scored(url, "latency_p99");

  for (let minute = 1; minute <= 6; minute += 1) {
    prometheus.broken.set("x", merged(world.clock.now().getTime() + 60_000));
    await world.minutes(1, { url });
  }

  expect((await scored(url, "latency_p99")) - before).toBe(6);
  expect(await readiness(url)).toEqual({ status: 200, prometheus: "" });
  expect(world.anomalies).toEqual([]);
});
