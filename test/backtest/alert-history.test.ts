import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { Secret } from "../../lib/secret.ts";
import { storedEpisodes } from "../../runbooks/adapters/alert-history/episodes.ts";
import { alertFile } from "../../runbooks/adapters/alert-history/file.ts";
import { prometheusAlerts } from "../../runbooks/adapters/alert-history/prometheus.ts";
import type { AlertHistory, PastAlert } from "../../runbooks/backtest/types.ts";
import { startFakePrometheus, type FakePrometheus, type FakeSeries } from "../fakes/prometheus.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { HOUR, MINUTE, START } from "./given.ts";

let folder: string;
let place: TestDatabase;
let database: Database;
let prometheus: FakePrometheus | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fettle-history-"));
  place = await createTestDatabase();
  database = openTestDatabase(place.url);
});

afterEach(async () => {
  await prometheus?.stop();
  prometheus = undefined;
});

afterAll(async () => {
  await database.close();
  await place.drop();
  await rm(folder, { recursive: true });
});

const PERIOD = { from: START, to: START + 10 * HOUR };
const time = (minutes: number) => new Date(START + minutes * MINUTE).toISOString();

async function read(history: AlertHistory): Promise<readonly PastAlert[]> {
  const alerts: PastAlert[] = [];
  for await (const portion of history.read(PERIOD)) alerts.push(...portion);
  return alerts;
}

async function fileOf(...lines: readonly (object | string)[]): Promise<AlertHistory> {
  const path = join(folder, "alerts.jsonl");
  const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
  await writeFile(path, text.join("\n"));
  return alertFile(path);
}

function webhook(alerts: readonly object[], truncatedAlerts = 0): object {
  return { version: "4", receiver: "fettle", status: "firing", alerts, truncatedAlerts };
}

test("a file's alerts come in the order in which they began, those of the period only", async () => {
  const history = await fileOf(
    { at: time(5), resolvedAt: time(9), labels: { n: "2" } },
    { at: time(1), labels: { n: "1" }, source: "am", truncated: true },
    "",
    { at: time(-1), labels: { n: "before" } },
    { at: time(700), labels: { n: "after" } },
  );

  expect(await read(history)).toEqual([
    {
      at: START + MINUTE,
      resolvedAt: Infinity,
      labels: { n: "1" },
      source: "am",
      truncated: true,
    },
    {
      at: START + 5 * MINUTE,
      resolvedAt: START + 9 * MINUTE,
      labels: { n: "2" },
      source: "file",
      truncated: false,
    },
  ]);
});

test("a file of many lines is read whole, in any order, with lines longer than a read", async () => {
  const count = 3_000;
  const lines = Array.from({ length: count }, (_, n) => ({
    at: time((n * 7) % 600),
    labels: { n: String(n), long: n % 1000 === 0 ? "ž".repeat(70_000) : "" },
  }));

  const alerts = await read(await fileOf(...lines));

  expect(new Set(alerts.map(({ labels }) => labels["n"])).size).toBe(count);
  expect(alerts.every(({ at }, n) => n === 0 || at >= (alerts[n - 1]?.at ?? 0))).toBe(true);
  expect(alerts.filter(({ labels }) => labels["long"] === "ž".repeat(70_000))).toHaveLength(3);
});

test("webhooks are alerts from their first firing to their resolved; repeats are nothing new", async () => {
  const one = { status: "firing", labels: { n: "1" }, startsAt: time(0), fingerprint: "f1" };
  const two = { status: "firing", labels: { n: "2" }, startsAt: time(1), fingerprint: "f2" };
  const history = await fileOf(
    webhook([one]),
    webhook([one, two], 3),
    webhook([{ ...one, status: "resolved", endsAt: time(8) }, two]),
    webhook([{ ...one, startsAt: time(20) }]),
  );

  expect(await read(history)).toMatchObject([
    { at: START, resolvedAt: START + 8 * MINUTE, labels: { n: "1" }, truncated: false },
    { at: START + MINUTE, resolvedAt: Infinity, labels: { n: "2" }, truncated: true },
    { at: START + 20 * MINUTE, resolvedAt: Infinity, labels: { n: "1" } },
  ]);
});

test.each<[string, string, RegExp]>([
  ["is no JSON", "{", /:2: is not JSON; expected \{"at"/],
  ["has no time", '{"labels":{}}', /:2: at: must be an RFC 3339 time, got nothing/],
  [
    "has another time",
    '{"at":"yesterday","labels":{}}',
    /:2: at: must be an RFC 3339 time, got "yesterday"/,
  ],
  ["has no labels", `{"at":"${time(0)}"}`, /:2: labels: must be an object of texts/],
  [
    "has a number as label",
    `{"at":"${time(0)}","labels":{"a":1}}`,
    /:2: labels: "a" must be a text/,
  ],
  ["is a list", "[]", /:2: is no object/],
  ["is a strange webhook", '{"alerts":[],"version":"9"}', /:2: is no webhook: /],
])("a line that %s is named with its number", async (_what, line, message) => {
  const history = await fileOf({ at: time(0), labels: {} }, line);

  await expect(read(history)).rejects.toThrow(message);
});

test("stored episodes come in order, page after page, and none twice", async () => {
  await database.query(
    `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at, last_starts_at, resolved_at, truncated)
     SELECT 'am', n::text, jsonb_build_object('n', n::text), '{}', $1::timestamptz + (n / 3) * interval '100 ms',
            $1, CASE WHEN n % 2 = 0 THEN $1::timestamptz + interval '2 hours' END, n % 5 = 0
       FROM generate_series(0, 4999) n`,
    [new Date(START)],
  );
  await database.query(
    `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at, last_starts_at)
     VALUES ('am', 'old', '{}', '{}', $1::timestamptz - interval '1 s', $1), ('am', 'new', '{}', '{}', $2, $2)`,
    [new Date(PERIOD.from), new Date(PERIOD.to)],
  );

  const alerts = await read(storedEpisodes(database));

  expect(alerts.map(({ labels }) => Number(labels["n"]))).toEqual(
    Array.from({ length: 5_000 }, (_, n) => n),
  );
  expect(alerts[10]).toEqual({
    at: START + 300,
    resolvedAt: START + 2 * HOUR,
    labels: { n: "10" },
    source: "am",
    truncated: true,
  });
  expect(alerts[11]?.resolvedAt).toBe(Infinity);
});

test("an episode that comes in while the past is read is not part of it", async () => {
  let count = 0;
  for await (const portion of storedEpisodes(database).read(PERIOD)) {
    if (count === 0)
      await database.query(
        `INSERT INTO episodes (source, fingerprint, labels, annotations, first_starts_at, last_starts_at)
         VALUES ('am', 'meanwhile', '{}', '{}', $1, $1)`,
        [new Date(PERIOD.to - MINUTE)],
      );
    count += portion.length;
  }

  expect(count).toBe(5_000);
});

function series(app: string, fires: (minutes: number) => boolean): FakeSeries {
  return {
    labels: { __name__: "ALERTS", alertname: "Slow", alertstate: "firing", app },
    value: (ms) => (fires((ms - START) / MINUTE) ? 1 : undefined),
  };
}

test("Prometheus' ALERTS are joined to intervals over all answers", async () => {
  prometheus = await startFakePrometheus(() => [
    series("long", (minutes) => minutes >= 30 && minutes < 400),
    series("twice", (minutes) => (minutes >= 5 && minutes < 10) || minutes === 50),
    series("open", (minutes) => minutes >= 590),
  ]);
  const options = { access: { url: prometheus.url, token: new Secret("t0ken") }, stepSeconds: 60 };

  const alerts = await read(prometheusAlerts(options));

  const minutes = (ms: number) => (ms - START) / MINUTE;
  expect(
    alerts.map(({ labels, at, resolvedAt }) => [labels["app"], minutes(at), minutes(resolvedAt)]),
  ).toEqual([
    ["twice", 5, 10],
    ["long", 30, 400],
    ["twice", 50, 51],
    ["open", 590, Infinity],
  ]);
  expect(alerts[0]).toMatchObject({
    labels: { alertname: "Slow", app: "twice" },
    source: "prometheus",
  });
  expect(Object.keys(alerts[0]?.labels ?? {})).not.toContain("alertstate");
  expect(prometheus.requests.map(({ authorization }) => authorization)).toEqual(
    prometheus.requests.map(() => "Bearer t0ken"),
  );
  expect(prometheus.requests).toHaveLength(5);
});

test("an answer that is too large is asked for in halves, and the intervals stay whole", async () => {
  prometheus = await startFakePrometheus(() => [series("long", (minutes) => minutes < 300)]);
  const options = { access: { url: prometheus.url }, stepSeconds: 60, answerBytesMax: 1_000 };

  const alerts = await read(prometheusAlerts(options));

  expect(alerts).toMatchObject([{ at: START, resolvedAt: START + 300 * MINUTE }]);
  expect(prometheus.requests.length).toBeGreaterThan(10);
});

test("an error that may pass is tried again; a refusal is told", async () => {
  prometheus = await startFakePrometheus(() => [series("a", (minutes) => minutes < 2)]);
  const options = { access: { url: prometheus.url }, stepSeconds: 60 };
  prometheus.faults.push({ status: 503 }, "reset");

  expect(await read(prometheusAlerts(options))).toHaveLength(1);
  prometheus.faults.push({ status: 400, body: "parse error" });
  await expect(read(prometheusAlerts(options))).rejects.toThrow(
    "Prometheus answered 400: parse error",
  );
});
