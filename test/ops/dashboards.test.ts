import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { Gauge } from "prom-client";
import { createDemoMetrics } from "../../ops/demo/metrics.ts";
import { freePort } from "../../lib/free-port.ts";
import { hasten } from "../../ops/prometheus/hasten.ts";
import { startFettle, waitUntil } from "../fakes/fettle.ts";

import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { startPrometheus, type Prometheus } from "../servers/prometheus.ts";
import { programPath } from "../servers/unprivileged.ts";
import { givenHistory } from "./given-history.ts";
import { givenLife } from "./given-life.ts";

const DASHBOARDS = "ops/grafana/dashboards";
const RULES = "ops/prometheus/rules";
const DEADLINE_MS = 90_000;
/** Seconds of the past that a series has, so that the detector has warmed up, and scrapes after which it goes away. */
const QUEUE_PAST_SECONDS = 120;
const QUEUE_SCRAPES = 20;
const READER_PASSWORD = "only-in-this-test";

/** Panels that ask Loki, which cannot be had here; `make check` reads their queries by LogQL's grammar. All others have data. */
const ASK_LOKI = [
  "alerts: Errors of the services",
  "security-events: Falco's events",
  "security-events: Refused",
  "security-events: What people and programs changed",
];

interface Target {
  readonly datasource?: { readonly type?: string };
  readonly expr?: string;
  readonly rawSql?: string;
  readonly instant?: boolean;
}

interface PanelQuery extends Target {
  readonly panel: string;
  /** The kind of its data source. */
  readonly source: string | undefined;
}

let database: TestDatabase;
let prometheus: Prometheus;
let ports: readonly number[];
let queries: readonly PanelQuery[];
/** The last first: what never started needs no end. */
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  stops.unshift(async () => database.drop());
  await givenHistory(database.url);
  const life = await givenLife(database.url);
  stops.unshift(life.stop);
  const demo = await startDemo();
  stops.unshift(demo.stop);
  ports = [await freePort(), await freePort(), await freePort(), await freePort()];
  const [detector = 0, runbooks = 0, exporter = 0, hypervisor = 0] = ports;
  prometheus = await startPrometheus({
    rules: await rulesNow(),
    history: queueHistory(demo.target),
    scrape: [
      { job: "backend", target: demo.target },
      { job: "detector", target: `127.0.0.1:${detector}` },
      { job: "runbooks", target: `127.0.0.1:${runbooks}` },
      { job: "exporter", target: `127.0.0.1:${exporter}` },
      { job: "hypervisor", target: `127.0.0.1:${hypervisor}` },
    ],
  });
  stops.unshift(async () => prometheus.stop());
  const fettle = await startFettle(
    "all",
    "HYPERVISOR_PORT",
    {
      AIOPS_DATABASE_URL: database.url,
      PROM_URL: prometheus.url,
      AIOPS_METRICS: "users=therapy_active_users;queue=demo_queue_length",
      AIOPS_WARMUP_POINTS: "30",
      AIOPS_INTERVAL_SECONDS: "1",
      DETECTOR_PORT: String(detector),
      RUNBOOKS_PORT: String(runbooks),
      EXPORTER_PORT: String(exporter),
      FETTLE_FOLDER: join(process.env["FETTLE_TEST_FOLDER"] ?? "", "dashboards"),
      ...life.env,
    },
    hypervisor,
  );
  stops.unshift(async () => fettle.stop());
  life.begin({
    runbooks: `http://127.0.0.1:${runbooks}`,
    hypervisor: `http://127.0.0.1:${hypervisor}`,
  });
  queries = await readQueries();
}, DEADLINE_MS);

afterAll(async () => {
  for (const stop of stops) await stop();
});

test(
  "each PromQL panel is answered, and shows something",
  async () => {
    const prom = queries.filter(
      ({ expr, panel }) => expr !== undefined && !ASK_LOKI.includes(panel),
    );
    expect(prom.length).toBeGreaterThan(70);

    const seen = await Promise.all(prom.map(ask));
    const waiting = new Set(prom.filter((_query, index) => seen[index] === 0));
    await waitUntil(
      "data in the panels",
      async () => {
        for (const query of waiting) if ((await ask(query)) > 0) waiting.delete(query);
        return waiting.size === 0;
      },
      DEADLINE_MS,
    ).catch(() => undefined); // those that stay empty are named below

    expect([...waiting].map(({ panel, expr }) => `${panel}: ${expr ?? ""}`)).toEqual([]);
  },
  2 * DEADLINE_MS,
);

test("no panel but the named ones asks Loki", () => {
  const asking = queries.filter(({ source }) => source === "loki").map(({ panel }) => panel);

  expect([...new Set(asking)].toSorted()).toEqual(ASK_LOKI);
});

test("each SQL panel is answered to the role that may only read, and shows what there is", async () => {
  await promisify(execFile)(programPath("PSQL"), [
    database.url,
    "--no-psqlrc",
    "--quiet",
    "--set=ON_ERROR_STOP=1",
    `--set=password=${READER_PASSWORD}`,
    "--file=ops/grafana/reader.sql",
  ]);
  const reader = new pg.Client({ connectionString: readerUrl() });
  await reader.connect();
  try {
    const sql = queries.filter(({ rawSql }) => rawSql !== undefined);
    expect(sql.length).toBeGreaterThan(15);

    const empty: string[] = [];
    for (const { panel, rawSql = "" } of sql) {
      const { rows } = await reader.query(withoutMacros(rawSql));
      if (rows.length === 0) empty.push(panel);
    }

    expect(empty).toEqual([]);
    await expect(reader.query("DELETE FROM kill_switches")).rejects.toThrow(/read-only|denied/);
    await expect(reader.query("SELECT * FROM inbox")).rejects.toThrow(/permission denied/);
  } finally {
    await reader.end();
  }
});

test("every metric of ours that a rule or a panel names is one that a service has", async () => {
  const exposed = await Promise.all(
    ports.map(async (port) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()),
  );
  const known = new Set(
    [...exposed.join("\n").matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name),
  );
  // A histogram is announced by its name, and asked by those of its parts.
  const isKnown = (name: string) =>
    known.has(name) || known.has(name.replace(/_(bucket|sum|count)$/, ""));
  const rules = (
    await Promise.all((await names(RULES)).map(async (path) => readFile(path, "utf8")))
  ).join("\n");
  const expressions = [rules, ...queries.map(({ expr = "" }) => expr)].join("\n");
  const named = [
    ...expressions.matchAll(/\b(?:aiops|runbooks|audit|fettle|arm_hypervisor)_[a-z0-9_]+/g),
  ].map(([name]) => name);

  expect(named.length).toBeGreaterThan(60);
  expect([...new Set(named)].filter((name) => !isKnown(name))).toEqual([]);
});

async function startDemo() {
  const { registry, step } = createDemoMetrics();
  const queue = new Gauge({
    name: "demo_queue_length",
    help: "goes away, which is an anomaly",
    registers: [registry],
  });
  let scrapes = 0;
  const demo = createServer((_request, response) => {
    scrapes += 1;
    if (scrapes === QUEUE_SCRAPES) registry.removeSingleMetric("demo_queue_length");
    else queue.set(5 + (scrapes % 2));
    for (let second = 0; second < 10; second += 1) step();
    void registry.metrics().then((text) => {
      response.setHeader("content-type", registry.contentType);
      response.end(text);
    });
  }).listen(0, "127.0.0.1");
  await once(demo, "listening");
  const stop = async () => {
    demo.closeAllConnections();
    demo.close();
    await once(demo, "close");
  };
  return { target: `127.0.0.1:${(demo.address() as AddressInfo).port}`, stop };
}

function queueHistory(target: string): string {
  const now = Math.floor(Date.now() / 1000);
  const past = Array.from(
    { length: QUEUE_PAST_SECONDS },
    (_, back) => now - QUEUE_PAST_SECONDS + back,
  );
  const labels = `job="backend",instance="${target}"`;
  const samples = past.map((at) => `demo_queue_length{${labels}} ${5 + (at % 2)} ${at}`);
  return ["# TYPE demo_queue_length gauge", ...samples, "# EOF", ""].join("\n");
}

async function rulesNow(): Promise<readonly string[]> {
  return Promise.all(
    (await names(RULES)).map(async (path) => hasten(await readFile(path, "utf8"))),
  );
}

async function names(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).map((name) => join(folder, name));
}

async function readQueries(): Promise<readonly PanelQuery[]> {
  const files = await names(DASHBOARDS);
  const boards = await Promise.all(
    files.map(
      async (path) =>
        JSON.parse(await readFile(path, "utf8")) as {
          uid: string;
          panels: { title: string; datasource?: { type?: string }; targets?: Target[] }[];
        },
    ),
  );
  return boards.flatMap(({ uid, panels }) =>
    panels.flatMap(({ title, datasource, targets = [] }) =>
      targets.map((target) => ({
        ...target,
        source: (target.datasource ?? datasource)?.type,
        panel: `${uid.replace("fettle-", "")}: ${title}`,
      })),
    ),
  );
}

/** How many series come back. @throws when Prometheus refuses the expression */
async function ask({ panel, expr = "" }: PanelQuery): Promise<number> {
  const quick = expr.replaceAll("$__rate_interval", "6s").replaceAll(/\[\d+[mhd]\]/g, "[6s]");
  const response = await fetch(
    `${prometheus.url}/api/v1/query?${new URLSearchParams({ query: quick }).toString()}`,
  );
  const answer = (await response.json()) as { error?: string; data?: { result: unknown[] } };
  if (answer.data === undefined) throw new Error(`${panel}: ${answer.error ?? ""}: ${quick}`);
  return answer.data.result.length;
}

/** Grafana's macros, as its plugin writes them. */
function withoutMacros(sql: string): string {
  return sql
    .replaceAll(/\$__timeFilter\(([^)]+)\)/g, "$1 BETWEEN now() - interval '6 hours' AND now()")
    .replaceAll(
      /\$__timeGroupAlias\((\w+), '5m'\)/g,
      'floor(extract(epoch from $1) / 300) * 300 AS "time"',
    );
}

function readerUrl(): string {
  const url = new URL(database.url);
  url.username = "fettle_grafana";
  url.password = READER_PASSWORD;
  return url.href;
}
