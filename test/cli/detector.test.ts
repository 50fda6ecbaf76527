import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startFakePrometheus, type FakePrometheus } from "../fakes/prometheus.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenWorkplace, type Env, type Workplace } from "./given.ts";

const MINUTE = 60_000;
/** Two days before the test began, one pod's latency was three times as high for an hour. */
const INCIDENT = Date.now() - 2 * 24 * 60 * MINUTE;

let place: Workplace;
let prometheus: FakePrometheus;
let database: TestDatabase;
let env: Env;

beforeAll(async () => {
  place = await givenWorkplace();
  database = await createTestDatabase();
  prometheus = await startFakePrometheus(() =>
    ["p1", "p2"].map((pod) => ({
      labels: { __name__: "latency", namespace: "shop", app: "checkout", pod },
      value: (ms) => level(pod, ms) * (1 + 0.03 * noise(ms)),
    })),
  );
  env = { PROM_URL: prometheus.url, AIOPS_METRICS: "latency=latency" };
});

afterAll(async () => {
  await prometheus.stop();
  await database.drop();
  await place.remove();
});

function level(pod: string, ms: number): number {
  return pod === "p1" && ms >= INCIDENT && ms < INCIDENT + 60 * MINUTE ? 0.9 : 0.3;
}

/** From -1 to 1, the same for the same minute. */
function noise(ms: number): number {
  return Math.sin((ms / MINUTE) * 12.9898) * Math.cos((ms / MINUTE) * 4.1414);
}

test("backtest says what the detector would have said, and how well", async () => {
  const labels = join(place.folder, "labels.csv");
  const [from, to] = [INCIDENT - MINUTE, INCIDENT + 60 * MINUTE].map((t) =>
    new Date(t).toISOString(),
  );
  await writeFile(labels, `metric,from,to\nlatency,${from ?? ""},${to ?? ""}\n`);
  const html = join(place.folder, "report.html");

  const { code, stdout } = await place.fettle(
    ["backtest", "detector", "--from", "3d", "--labels", labels, "--html", html, "--json"],
    env,
  );

  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    series: 2,
    alerts: 1,
    byReason: { level_shift: 1 },
    labelled: { windows: 1, found: 1, recall: 1, precision: 1 },
    list: [{ metric: "latency", reason: "level_shift", direction: "up", cause: "recovered" }],
  });
  const page = await readFile(html, "utf8");
  expect(page).toContain("<svg");
  expect(page).toContain("level_shift up");
});

test("backtest prints a table for people", async () => {
  const { code, stdout } = await place.fettle(["backtest", "detector", "--from", "3d"], env);

  expect(code).toBe(0);
  expect(stdout).toMatch(/alerts +1\n/);
  expect(stdout).toMatch(/OPENED +CLOSED +REASON/);
});

test("detect --once looks at the newest day", async () => {
  expect(await place.fettle(["detect", "--once"], env)).toMatchObject({
    code: 0,
    stdout: "Nothing strange now.\n",
  });
});

test("train compares two models on one's own past, and keeps the old one unless it is told to change", async () => {
  const withDatabase = { ...env, AIOPS_DATABASE_URL: database.url };

  const { code, stdout } = await place.fettle(
    ["train", "--from", "4d", "--compare", "--json"],
    withDatabase,
  );

  const result = JSON.parse(stdout) as {
    promoted: boolean;
    rows: number;
    comparison: { promote: boolean; planted: number };
  };
  expect(result).toMatchObject({ promoted: false, comparison: { planted: 6 } });
  expect(result.rows).toBeGreaterThan(512);
  expect(code).toBe(result.comparison.promote ? 0 : 3);
});

test("backfill writes the scored past to the feature store, and needs a database for it", async () => {
  const written = await place.fettle(["backfill", "--from", "6h", "--json"], {
    ...env,
    AIOPS_DATABASE_URL: database.url,
  });
  const refused = await place.fettle(["backfill", "--from", "6h"], env);

  expect(written).toMatchObject({ code: 0 });
  expect((JSON.parse(written.stdout) as { rows: number }).rows).toBeGreaterThan(700);
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("AIOPS_DATABASE_URL is needed"),
  });
});

test("nab scores a folder, one line for each file", async () => {
  const rows = Array.from(
    { length: 400 },
    (_, at) =>
      `2026-11-${String(1 + Math.floor(at / 288)).padStart(2, "0")} ${new Date(at * 5 * MINUTE).toISOString().slice(11, 19)},${at % 7}`,
  );
  await mkdir(join(place.folder, "nab", "data", "own"), { recursive: true });
  await writeFile(
    join(place.folder, "nab", "data", "own", "a.csv"),
    `timestamp,value\n${rows.join("\n")}\n`,
  );

  const { code } = await place.fettle(["nab", "nab", "--out", "scores.jsonl"]);

  expect(code).toBe(0);
  const scores = JSON.parse(await readFile(join(place.folder, "scores.jsonl"), "utf8")) as {
    file: string;
    scores: number[];
  };
  expect(scores).toMatchObject({ file: "own/a.csv" });
  expect(scores.scores).toHaveLength(400);
});

test.each<[readonly string[], number, RegExp]>([
  [["detect"], 2, /give either --once or --file/],
  [["detect", "--file", "missing.csv"], 1, /missing\.csv: ENOENT/],
  [
    ["backtest", "detector", "--from", "yesterday"],
    2,
    /--from must be a time .* or an age .*, got "yesterday"/,
  ],
  [["backtest", "detector", "--from", "1h", "--to", "2h"], 2, /--to must be after --from/],
  [["backtest", "detector", "--labels", "missing.csv"], 1, /missing\.csv/],
  [["backtest", "detector", "--from", "2026-02-31"], 2, /--from must be a time .*"2026-02-31"/],
  [["train", "--to", "2026-11-21T03:00"], 2, /--to must be a time .*, got "2026-11-21T03:00"/],
  [["train", "--from", "999w"], 2, /--from 999w is 10069920 steps of 60 s, at most 2000000 can/],
  [["train", "--seed", "x"], 2, /--seed must be a whole number from 0 to 4294967295, got "x"/],
  [["train", "--seed", "1.5"], 2, /--seed must be a whole number .*, got "1\.5"/],
  [["train", "--seed", "4294967296"], 2, /--seed must be a whole number .*, got "4294967296"/],
  [["train", "--masks", "missing.csv"], 1, /missing\.csv/],
  [["train", "--depth", "3"], 2, /unknown option '--depth'/],
  [["train", "yesterday"], 2, /too many arguments/],
  [["backtest", "detector", "--propose"], 1, /AIOPS_DATABASE_URL is needed: labels are kept there/],
  [
    ["backtest", "detector", "--propose", "--labels", "x"],
    2,
    /--labels cannot be given with --prop/,
  ],
  [["train", "--from", "2h"], 1, /rows to learn from, 512 are needed/],
  [["nab", "missing", "--out", "x.jsonl"], 1, /missing/],
])("fettle %j ends with %i and says why", async (args, code, message) => {
  const ended = await place.fettle(args, env);

  expect(ended.code).toBe(code);
  expect(ended.stderr).toMatch(message);
});

test("a Prometheus that does not answer is exit code 5", async () => {
  const ended = await place.fettle(["detect", "--once"], {
    ...env,
    PROM_URL: "http://127.0.0.1:1",
  });

  expect(ended).toMatchObject({
    code: 5,
    stderr: expect.stringContaining("Prometheus does not answer"),
  });
});
