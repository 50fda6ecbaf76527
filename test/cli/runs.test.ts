import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { given, waitingRun, type Given } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import type { Env } from "./given.ts";
import { fettleHere } from "./in-process.ts";

let testDatabase: TestDatabase;
let database: Database;
let env: Env;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  env = { AIOPS_DATABASE_URL: testDatabase.url, RUNBOOK_APPROVERS: "ana,ivan" };
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const fettle = async (...args: readonly string[]) => fettleHere(args, env);

async function waiting(app: string): Promise<{ readonly setup: Given; readonly id: string }> {
  const setup = given(database, app);
  return { setup, id: await waitingRun(setup) };
}

describe("runs ls", () => {
  test("shows the runs of a state, an app, a time", async () => {
    const { id } = await waiting("ls-1");
    const { setup, id: other } = await waiting("ls-2");
    await setup.answer(other, "rejected");

    const open = await fettle("runs", "ls", "--state", "open", "--json");
    const ended = await fettle("runs", "ls", "--state", "ended", "--app", "ls-2");
    const none = await fettle("runs", "ls", "--to", "1d", "--from", "2d");

    expect(JSON.parse(open.stdout)).toMatchObject([
      { id, state: "approval_pending", namespace: "shop", app: "ls-1", outcome: null },
    ]);
    expect(ended.stdout).toMatch(new RegExp(`\n${other} .*rejected by ana`));
    expect(ended.stdout).not.toContain(id);
    expect(none).toEqual({ code: 0, stdout: "No such runs.\n", stderr: "" });
  });

  test.each([
    [["--state", "sleeping"], "--state: must be one of open"],
    [["--limit", "0"], "--limit must be an integer"],
    [["--from", "yesterday"], "--from must be a time"],
    [["--app", "a\u0007b"], "--app: must not contain control characters"],
  ])("%j is wrong usage, and says why", async (args, why) => {
    const ended = await fettle("runs", "ls", ...args);

    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toContain(why);
  });
});

describe("runs explain", () => {
  test("names what matched, the policy's key, the breaker, the namespace's health and every gate", async () => {
    const { id } = await waiting("explained");

    const { code, stdout } = await fettle("runs", "explain", id);
    const json = await fettle("runs", "explain", id, "--json");

    expect(code).toBe(0);
    for (const line of [
      "match        runbook anomaly, for latency_p99:level_shift (AIOpsAnomalyDetected from detector)",
      "policy       key env, version ",
      "  env: matched",
      "breaker      target closed, 0 used this hour, 0 today; app closed",
      "limits 3 an hour, 10 a day",
      "sick in the namespace",
      "(limits 100 %, 1000 targets)",
      "kill switch  off",
      "  asks ana, ivan",
      "plan         Restart the 3 pods of shop/explained",
    ])
      expect(stdout).toContain(line);
    expect(JSON.parse(json.stdout)).toMatchObject({
      id,
      state: "approval_pending",
      decision: { key: "env", verdict: { kind: "act" }, input: { killed: null } },
      trigger: { source: "detector" },
      dryRun: false,
    });
  });

  test("of a run without a decision says so; of no run is 4", async () => {
    const setup = given(database, "undecided");
    await setup.deliver([{}]);
    const [run] = await setup.runs();

    expect((await fettle("runs", "explain", run?.id ?? "")).stdout).toContain("none so far");
    expect(await fettle("runs", "explain", "nope")).toMatchObject({
      code: 4,
      stderr: "fettle: there is no run nope\n",
    });
  });
});

describe("runs cancel", () => {
  test("ends a run that waits, and refuses one that is over or under way", async () => {
    const { setup, id } = await waiting("cancelled");
    const { id: begun } = await waiting("begun");
    await database.query("UPDATE runs SET state = 'intent' WHERE id = $1", [begun]);
    const cancel = async (run: string) => fettle("runs", "cancel", run, "--as", "iva", "--json");

    expect(JSON.parse((await cancel(id)).stdout)).toEqual({ kind: "cancelled", runId: id });
    expect((await setup.runs())[0]).toMatchObject({ state: "cancelled" });
    expect(await cancel(id)).toMatchObject({
      code: 3,
      stderr: `fettle: ${id} is over already: cancelled\n`,
    });
    expect((await cancel(begun)).code).toBe(3);
    expect((await cancel(begun)).stderr).toContain("the cluster may have been called");
    expect(await cancel("nope")).toMatchObject({ code: 4 });
    expect(await fettle("runs", "cancel", id)).toMatchObject({ code: 2 });
    expect(await fettle("runs", "cancel", id, "--as", " ")).toMatchObject({ code: 2 });
  });
});

describe("runs retry", () => {
  test("is a dry run unless it is to be real, which needs a yes and an approver", async () => {
    const { setup, id } = await waiting("retried");
    await setup.answer(id, "rejected");
    const retry = async (...more: readonly string[]) => fettle("runs", "retry", id, ...more);

    expect(await retry("--as", "ana", "--real")).toMatchObject({ code: 2 });
    expect(await retry("--as", "mallory", "--real", "--yes")).toMatchObject({
      code: 3,
      stderr: "fettle: mallory may not: not in the list of approvers\n",
    });
    const { code, stdout } = await retry("--as", "ana", "--json");

    expect(code).toBe(0);
    const started = JSON.parse(stdout) as { runId: string };
    expect(started).toEqual({
      kind: "started",
      runId: expect.stringMatching(/^run_/),
      retryOf: id,
      mode: "dry-run",
    });
    const { rows } = await database.query(
      `SELECT r.dry_run, r.requested_by, j.name FROM runs r
         JOIN pgboss.job j ON j.data->>'runId' = r.id WHERE r.id = $1`,
      [started.runId],
    );
    expect(rows).toEqual([{ dry_run: true, requested_by: "ana", name: "runbooks-run" }]);
    expect(await retry("--as", "ana")).toMatchObject({ code: 3 });
    expect(await fettle("runs", "retry", started.runId, "--as", "ana")).toMatchObject({
      code: 3,
      stderr: `fettle: ${started.runId} goes on: it is matched\n`,
    });
    expect(await fettle("runs", "retry", "nope", "--as", "ana")).toMatchObject({ code: 4 });
  });
});

describe("runs watch", () => {
  test("tells each event as it comes, and ends with the run", async () => {
    const { setup, id } = await waiting("watched");
    const watching = fettle("runs", "watch", id, "--json");
    await new Promise((resolve) => setTimeout(resolve, 1_500));

    await setup.answer(id, "rejected", "ivan");
    const { code, stdout } = await watching;

    expect(code).toBe(3);
    const lines = stdout.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { event: "request" },
      { event: "approval_pending" },
      { event: "rejected", actor: "ivan" },
      { run: id, state: "rejected", outcome: "rejected by ivan" },
    ]);
  });

  test.each([
    ["succeeded", 0],
    ["failed", 1],
    ["skipped_circuit", 3],
  ])("of a run that ended as %s ends with %d", async (state, code) => {
    const { id } = await waiting(`watched-${code}`);
    await database.query(
      "UPDATE runs SET state = $2, finished_at = now(), outcome = 'so' WHERE id = $1",
      [id, state],
    );

    const ended = await fettle("runs", "watch", id);

    expect(ended.code).toBe(code);
    expect(ended.stdout.trim().split("\n").at(-1)).toBe(`${id}  ${state}: so`);
  });

  test("gives up after its time with 5, and knows runs that do not exist", async () => {
    const { id } = await waiting("patience");

    expect(await fettle("runs", "watch", id, "--timeout", "1s")).toMatchObject({
      code: 5,
      stderr: `fettle: ${id} goes on after 1s\n`,
    });
    expect(await fettle("runs", "watch", "nope")).toMatchObject({ code: 4 });
    expect(await fettle("runs", "watch", id, "--timeout", "soon")).toMatchObject({ code: 2 });
  });
});

describe("approvals ls", () => {
  test("lists who waits, and what was decided", async () => {
    const { id } = await waiting("asked");
    const { setup, id: decided } = await waiting("answered");
    await setup.answer(decided, "approved", "ivan");

    const pending = await fettle("approvals", "ls", "--limit", "100");
    const done = await fettle("approvals", "ls", "--decided", "--json");

    expect(pending.stdout).toMatch(new RegExp(`\n${id} +pending .* 0 of 1 .*Restart the 3 pods`));
    expect(pending.stdout).not.toContain(decided);
    const [first] = JSON.parse(done.stdout) as object[];
    expect(first).toMatchObject({ runId: decided, state: "approved", decidedBy: "ivan", votes: 1 });
    expect(await fettle("approvals", "ls", "--limit", "x")).toMatchObject({ code: 2 });
  });
});
