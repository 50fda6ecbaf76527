import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { givenWorkplace, type Workplace } from "../cli/given.ts";
import { given, waitingRun } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { pastAlert } from "./given.ts";

let place: Workplace;
let server: TestDatabase;
let database: Database;

beforeAll(async () => {
  place = await givenWorkplace();
  server = await createTestDatabase();
  database = openTestDatabase(server.url);
  const lines = [pastAlert(0, 60), pastAlert(200, 2, { app: "pay" })].map(
    ({ at, resolvedAt, labels }) =>
      JSON.stringify({
        at: new Date(at).toISOString(),
        resolvedAt: new Date(resolvedAt).toISOString(),
        labels,
      }),
  );
  await writeFile(join(place.folder, "alerts.jsonl"), lines.join("\n"));
  await writeFile(join(place.folder, "new.yaml"), "default: latency_p99=rollout_restart");
  await writeFile(join(place.folder, "old.policy"), "cost=rollout_restart");
});

afterAll(async () => {
  await database.close();
  await server.drop();
  await place.remove();
});

const PERIOD = ["--from", "2026-11-02T00:00:00Z", "--to", "2026-11-03T00:00:00Z"];
const FROM_FILE = [
  "backtest",
  "policy",
  "--policy",
  "new.yaml",
  "--file",
  "alerts.jsonl",
  ...PERIOD,
];

test("backtest policy needs no database for a file, and says what changes", async () => {
  const { code, stdout, stderr } = await place.fettle([...FROM_FILE, "--against", "old.policy"]);

  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toMatch(/approvals asked for +0 +2/);
  expect(stdout).toMatch(/resolved before the action +0 +1/);
  expect(stdout).toMatch(/added +default +latency_p99/);
  expect(stdout).toMatch(/2026-11-02 +shop\/checkout +rollout_restart +1/);
  expect(stdout).toMatch(/sha256 [0-9a-f]{64}$/m);
});

test("a file is lived through whole when no time is given", async () => {
  const { stdout } = await place.fettle([...FROM_FILE.slice(0, -PERIOD.length), "--json"]);

  expect(JSON.parse(stdout)).toMatchObject({ policy: { tally: { alerts: 2 } } });
});

test("two runs print the same JSON, and the page stands alone", async () => {
  const html = join(place.folder, "report.html");
  const [one, other] = [
    await place.fettle([...FROM_FILE, "--json", "--html", html]),
    await place.fettle([...FROM_FILE, "--json"]),
  ];

  expect(one.stdout).toBe(other.stdout);
  const page = await readFile(html, "utf8");
  expect(page).toContain("shop/checkout");
  expect(page).toContain("<svg");
  expect(page).not.toMatch(/<script|<link| style=/);
});

test("hostile labels do not become part of the page", async () => {
  const hostile = "<img src=x onerror=alert(1)>";
  const alert = pastAlert(0, 60, { metric: hostile });
  const line = { at: new Date(alert.at).toISOString(), labels: alert.labels };
  await writeFile(join(place.folder, "hostile.jsonl"), JSON.stringify(line));
  const html = join(place.folder, "hostile.html");

  const { code } = await place.fettle([
    ...["backtest", "policy", "--policy", "new.yaml", "--file", "hostile.jsonl", ...PERIOD],
    ...["--html", html, "--json"],
  ]);

  expect(code).toBe(0);
  const page = await readFile(html, "utf8");
  expect(page).toContain("&lt;img");
  expect(page).not.toContain("<img");
});

test.each<[string, readonly string[], RegExp]>([
  ["no policy", ["backtest", "policy"], /--policy/],
  ["a source of another name", ["--source", "csv"], /--source must be db, prometheus or file/],
  ["a file source without a file", ["--source", "file"], /--source file needs --file/],
  ["a strange delay", ["--approval-delay", "soon"], /--approval-delay must be a length of time/],
  ["no workloads", ["--workloads", "0"], /--workloads must be a whole number/],
  [
    "a policy that is not there",
    ["--policy", "none.yaml", "--file", "alerts.jsonl"],
    /none\.yaml: ENOENT/,
  ],
  [
    "a broken policy",
    ["--policy", "alerts.jsonl", "--file", "alerts.jsonl"],
    /--policy alerts\.jsonl: /,
  ],
  ["no database", ["--source", "db"], /AIOPS_DATABASE_URL: is required for --source db/],
  ["no Prometheus", ["--source", "prometheus"], /PROM_URL: is required/],
])("%s is refused with what was expected", async (_what, args, message) => {
  const whole = args.includes("policy")
    ? args
    : ["backtest", "policy", "--policy", "new.yaml", ...args];
  const { code, stderr } = await place.fettle(whole);

  expect(stderr).toMatch(message);
  expect(code).toBe(2);
});

test("the database's alerts are lived through, decisions are shown and replay byte for byte", async () => {
  const env = { AIOPS_DATABASE_URL: server.url };
  const runId = await waitingRun(given(database, "checkout"));

  const tried = await place.fettle(
    [
      ...["backtest", "policy", "--policy", "new.yaml", "--json"],
      ...["--from", "2026-11-20", "--to", "2026-11-23"],
    ],
    env,
  );
  const shown = await place.fettle(["decisions", "show", runId], env);
  const replayed = await place.fettle(["decisions", "replay", runId], env);

  expect(tried.stderr).toBe("");
  expect(JSON.parse(tried.stdout)).toMatchObject({
    source: "db",
    policy: { tally: { alerts: 1 } },
  });
  expect(shown.stdout).toContain("the circuit breaker has room");
  expect(replayed).toMatchObject({ code: 0, stderr: "" });
  expect(replayed.stdout).toContain("The same decision, byte for byte.");
});

test("a record that somebody changed is found, with the member", async () => {
  const env = { AIOPS_DATABASE_URL: server.url };
  const runId = await waitingRun(given(database, "tampered"));
  await database.query(
    `UPDATE runs SET decision = jsonb_set(decision, '{input,alert,labels,severity}', '"none"') WHERE id = $1`,
    [runId],
  );

  const { code, stdout } = await place.fettle(["decisions", "replay", runId], env);

  expect(code).toBe(1);
  expect(stdout).toContain("its hash differs");
  expect(stdout).toContain(
    'input.alert.labels.severity is "none" in the record and nothing elsewhere',
  );
});

test("decisions and shadow reports of nothing say so", async () => {
  const env = { AIOPS_DATABASE_URL: server.url };

  const none = await place.fettle(["decisions", "show", "run_none"], env);
  const shadow = await place.fettle(["report", "shadow"], env);

  expect(none).toMatchObject({ code: 4, stderr: "fettle: there is no run run_none\n" });
  expect(shadow.stdout).toBe("No line in shadow mode was asked in this time.\n");
});
