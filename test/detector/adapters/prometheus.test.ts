import { afterEach, expect, test } from "@jest/globals";
import {
  connectPrometheus,
  type PrometheusOptions,
} from "../../../detector/adapters/prometheus.ts";
import { pagesOf } from "../../../detector/adapters/prometheus-pages.ts";
import { QueryError } from "../../../detector/faults.ts";
import type { MetricSource } from "../../../detector/types/source.ts";
import { Secret } from "../../../lib/secret.ts";
import {
  startFakePrometheus,
  type FakeFault,
  type FakePrometheus,
  type FakeSeries,
} from "../../fakes/prometheus.ts";

const MINUTE = 60_000;
let fake: FakePrometheus | undefined;
afterEach(async () => {
  await fake?.stop();
  fake = undefined;
});

const ramp: FakeSeries = { labels: { app: "a" }, value: (ms) => ms / MINUTE };

async function given(
  series: readonly FakeSeries[] = [ramp],
  options: Partial<PrometheusOptions> = {},
): Promise<{ readonly source: MetricSource; readonly prometheus: FakePrometheus }> {
  const prometheus = await startFakePrometheus(() => series);
  fake = prometheus;
  const source = connectPrometheus({
    url: prometheus.url,
    token: undefined,
    firstDelayMs: 1,
    timeoutMs: 1_500,
    ...options,
  });
  return { source, prometheus };
}

async function faultOf(answer: Promise<unknown>): Promise<string> {
  const error: unknown = await answer.then(
    () => "answered",
    (reason: unknown) => reason,
  );
  if (!(error instanceof QueryError)) throw new Error("not a QueryError", { cause: error });
  return error.kind;
}

const HOUR = { from: 60 * MINUTE, to: 120 * MINUTE, step: MINUTE };

test("a range comes back point by point, posted as a form with the token", async () => {
  const { source, prometheus } = await given([ramp], { token: new Secret("let me in") });

  const [series, ...others] = await source.query("up", HOUR);

  expect(others).toEqual([]);
  expect(series?.labels).toEqual({ app: "a" });
  expect(series?.points).toHaveLength(61);
  expect(series?.points[0]).toEqual({ t: 60 * MINUTE, value: 60 });
  expect(prometheus.requests).toHaveLength(1);
  expect(prometheus.requests[0]).toMatchObject({
    path: "/api/v1/query_range",
    authorization: "Bearer let me in",
  });
  expect(Object.fromEntries(prometheus.requests[0]?.form ?? [])).toEqual({
    query: "up",
    start: "3600",
    end: "7200",
    step: "60",
    partial_response: "false",
    deny_partial_response: "1",
  });
});

test("a single step is an instant query with the same answer", async () => {
  const { source, prometheus } = await given();

  const series = await source.query("up", { ...HOUR, to: HOUR.from });

  expect(series).toEqual([{ labels: { app: "a" }, points: [{ t: 60 * MINUTE, value: 60 }] }]);
  expect(prometheus.requests[0]?.path).toBe("/api/v1/query");
});

test("a long range is asked for in pages below 11,000 points and joined without a seam", async () => {
  const { source, prometheus } = await given([
    ramp,
    { labels: { app: "b" }, value: (ms) => (ms > 20_000 * MINUTE ? 1 : undefined) },
  ]);

  const series = await source.query("up", { from: 0, to: 25_000 * MINUTE, step: MINUTE });

  expect(prometheus.requests).toHaveLength(3);
  expect(series.map(({ points }) => points.length)).toEqual([25_001, 5_000]);
  expect(series[0]?.points.every(({ value }, index) => value === index)).toBe(true);
});

test("a series that a server gives twice counts once, also across pages", async () => {
  const { source } = await given([ramp, { ...ramp, value: () => 7 }]);

  const [series, ...others] = await source.query("up", {
    from: 0,
    to: 12_000 * MINUTE,
    step: MINUTE,
  });

  expect(others).toEqual([]);
  expect(series?.points.map(({ t }) => t / MINUTE)).toEqual(
    Array.from({ length: 12_001 }, (_, minute) => minute),
  );
});

test("warnings about an expression are no fault; an answer that says it is partial is", async () => {
  const { source, prometheus } = await given();
  const answer = (more: object): FakeFault => ({
    body: JSON.stringify({
      ...{ status: "success", data: { resultType: "scalar", result: [60, "7"] } },
      ...more,
    }),
  });
  const partial = answer({ isPartial: true });
  prometheus.faults.push(answer({ warnings: ["not a counter"], infos: ["x"], isPartial: false }));

  expect(await source.query("7", HOUR)).toHaveLength(1);
  prometheus.faults.push(partial, partial, partial);
  await expect(source.query("7", HOUR)).rejects.toThrow("the answer is partial");
});

test("a server whose clock is behind ours does not know the present, but the past", async () => {
  const { source, prometheus } = await given();
  const now = Math.floor(Date.now() / MINUTE) * MINUTE;
  const present = { from: now, to: now, step: MINUTE };
  prometheus.clockBehindMs = 5 * MINUTE;

  expect(await faultOf(source.query("up", present))).toBe("unavailable");
  await expect(source.query("up", present)).rejects.toThrow("clock is more than 30 s behind ours");
  expect(prometheus.requests).toHaveLength(2);
  expect(await source.query("up", HOUR)).toHaveLength(1);
  prometheus.clockBehindMs = -5 * MINUTE;
  expect(await source.query("up", present)).toHaveLength(1);
});

test("pages cover every step once", () => {
  const pages = pagesOf({ from: 0, to: 20_000, step: 1 });

  expect(pages).toEqual([
    { from: 0, to: 9_999, step: 1 },
    { from: 10_000, to: 19_999, step: 1 },
    { from: 20_000, to: 20_000, step: 1 },
  ]);
});

test("NaN and infinities arrive as points that are not finite, holes as no points", async () => {
  const values = [NaN, Infinity, -Infinity, undefined, 4];
  const { source } = await given([{ labels: {}, value: (ms) => values[ms / MINUTE] }]);

  const [series] = await source.query("x", { from: 0, to: 4 * MINUTE, step: MINUTE });

  expect(series?.points.map(({ value }) => Number.isFinite(value))).toEqual([
    false,
    false,
    false,
    true,
  ]);
});

test("an empty answer is no data, and no error", async () => {
  const { source } = await given([]);

  expect(await source.query("nothing", HOUR)).toEqual([]);
});

const unavailable: readonly FakeFault[] = [
  { status: 500, body: "oops" },
  { status: 503 },
  { status: 429 },
  "reset",
  "hang",
];
test.each(unavailable)("%j is tried again, and healed by the next answer", async (fault) => {
  const { source, prometheus } = await given();
  prometheus.faults.push(fault);

  expect(await source.query("up", HOUR)).toHaveLength(1);
  expect(prometheus.requests).toHaveLength(2);
});

test.each(unavailable)(
  "%j again and again is `unavailable` after three attempts",
  async (fault) => {
    const { source, prometheus } = await given();
    prometheus.faults.push(fault, fault, fault);

    expect(await faultOf(source.query("up", HOUR))).toBe("unavailable");
    expect(prometheus.requests).toHaveLength(3);
  },
);

const refused = JSON.stringify({
  status: "error",
  errorType: "bad_data",
  error: "parse error at char 3",
});
test.each([
  [{ status: 400, body: refused }, "bad_query"],
  [{ status: 422, body: refused }, "bad_query"],
  [{ status: 401, body: "no" }, "unavailable"],
  [{ status: 404, body: "<html>" }, "unavailable"],
  ["truncate", "bad_answer"],
  [{ body: "<html>welcome</html>" }, "bad_answer"],
  [
    {
      body: '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}',
    },
    "bad_answer",
  ],
  [
    {
      body: '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,""]]}]}}',
    },
    "bad_answer",
  ],
  [{ body: '{"status":"success","data":{"resultType":"string","result":[1,"x"]}}' }, "bad_answer"],
  [{ body: '{"status":"success"}' }, "bad_answer"],
] as const)("%j is not tried again: %s", async (fault, kind) => {
  const { source, prometheus } = await given();
  prometheus.faults.push(fault);

  expect(await faultOf(source.query("up", HOUR))).toBe(kind);
  expect(prometheus.requests).toHaveLength(1);
});

test("the server's own words about a bad expression reach the reader", async () => {
  const { source, prometheus } = await given();
  prometheus.faults.push({ status: 400, body: refused });

  await expect(source.query("up{", HOUR)).rejects.toThrow(
    "Prometheus answered 400: parse error at char 3",
  );
});

test("an answer above the limit is cut off, whatever it says about its length", async () => {
  const { source, prometheus } = await given([ramp], { answerBytesMax: 1000 });
  const large: FakeFault = { body: "x".repeat(100_000) };
  prometheus.broken.set("up", large);

  expect(await faultOf(source.query("up", { ...HOUR, to: HOUR.from }))).toBe("too_large");
  expect(prometheus.requests).toHaveLength(1);
  expect(await faultOf(source.query("up", HOUR))).toBe("too_large");
});

test("a question whose answer is too large is asked in halves, and the next one at once in small pages", async () => {
  const { source, prometheus } = await given([ramp, { ...ramp, labels: { app: "b" } }], {
    answerBytesMax: 1000,
  });

  const series = await source.query("up", HOUR);
  expect(series.map(({ points }) => points.length)).toEqual([61, 61]);
  expect(series[0]?.points.every(({ value }, index) => value === 60 + index)).toBe(true);
  const steps = (): number[] =>
    prometheus.requests
      .splice(0)
      .map(({ form }) => (Number(form.get("end")) - Number(form.get("start"))) / 60 + 1);
  expect(steps()).toEqual([61, 31, 30]);
  await source.query("up", HOUR);
  expect(steps()).toEqual([31, 30]);
});

test("halves that are together too large for memory are given up", async () => {
  const many = Array.from({ length: 5 }, (_, app) => ({ ...ramp, labels: { app: String(app) } }));
  const { source } = await given(many, { answerBytesMax: 1000 });

  await expect(source.query("up", HOUR)).rejects.toThrow("larger than 4000 bytes together");
});

test("native histograms are left out, a scalar is a series without labels", async () => {
  const { source, prometheus } = await given();
  prometheus.faults.push(
    {
      body: '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"histograms":[]}]}}',
    },
    { body: '{"status":"success","data":{"resultType":"scalar","result":[60,"7"]}}' },
  );

  expect(await source.query("h", HOUR)).toEqual([]);
  expect(await source.query("7", { ...HOUR, to: HOUR.from })).toEqual([
    { labels: {}, points: [{ t: 60_000, value: 7 }] },
  ]);
});

test("an aborted question ends at once, without another attempt", async () => {
  const { source, prometheus } = await given([ramp], { timeoutMs: 20_000 });
  prometheus.faults.push("hang");
  const abort = new AbortController();
  const answer = faultOf(source.query("up", HOUR, abort.signal)).catch(() => "cancelled");
  setTimeout(() => {
    abort.abort();
  }, 30);

  expect(["unavailable", "cancelled"]).toContain(await answer);
  expect(prometheus.requests).toHaveLength(1);
});
