import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { given } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenWorkplace, type Ended, type Env, type Workplace } from "./given.ts";

let workplace: Workplace;
let testDatabase: TestDatabase;
let database: Database;
let env: Env;

beforeAll(async () => {
  workplace = await givenWorkplace();
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  env = {
    AIOPS_DATABASE_URL: testDatabase.url,
    RUNBOOK_APPROVERS: "ana,ivan",
    RUNBOOK_APPROVAL_SECRET: "canary-approval-secret-0123456789",
  };
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
  await workplace.remove();
});

describe("migrate", () => {
  let empty: TestDatabase;
  beforeAll(async () => {
    empty = await createTestDatabase();
    const emptied = openTestDatabase(empty.url);
    await emptied.query("DROP SCHEMA public CASCADE");
    await emptied.query("DROP SCHEMA pgboss CASCADE");
    await emptied.query("CREATE SCHEMA public");
    await emptied.close();
  });
  afterAll(async () => empty.drop());

  test("says what it would do, does it, and finds nothing to do the second time", async () => {
    const own = { AIOPS_DATABASE_URL: empty.url };
    const before = await workplace.fettle(["runs"], own);
    const plan = await workplace.fettle(["migrate", "--dry-run"], own);
    const planAgain = await workplace.fettle(["migrate", "--dry-run", "--json"], own);
    const first = await workplace.fettle(["migrate", "--json"], own);
    const second = await workplace.fettle(["migrate"], own);
    const after = await workplace.fettle(["runs"], own);

    expect(before.code).toBe(1);
    expect(before.stderr).toContain("fettle migrate");
    expect(plan).toMatchObject({ code: 0, stderr: "" });
    expect(plan.stdout).toMatch(/^would apply: 0001_runbooks, /);
    const { applied } = JSON.parse(first.stdout) as { applied: string[] };
    expect(JSON.parse(planAgain.stdout)).toEqual({ dryRun: true, applied });
    expect(applied[0]).toBe("0001_runbooks");
    expect(second).toEqual({ code: 0, stdout: "The schema is up to date.\n", stderr: "" });
    expect(after).toEqual({ code: 0, stdout: "No runs yet.\n", stderr: "" });
  });
});

/** A run that waits for its answer. */
async function waitingRun(app: string): Promise<string> {
  const setup = given(database, app);
  await setup.deliver([{}]);
  const id = (await setup.runs())[0]?.id ?? "";
  await setup.advance(id);
  return id;
}

describe("runs", () => {
  test("lists the newest first, as a table and as JSON", async () => {
    const older = await waitingRun("list-1");
    const newer = await waitingRun("list-2");

    const shown = await workplace.fettle(["runs"], env);
    const json = await workplace.fettle(["runs", "--json", "--limit", "2"], env);

    const [header = "", first = "", second = ""] = shown.stdout.split("\n");
    expect(header).toMatch(/^RUN +TARGET +STATE +SINCE +OUTCOME$/);
    expect(first).toMatch(
      new RegExp(`^${newer}  default/shop/deployment/list-2 +approval_pending `),
    );
    expect(second).toContain(older);
    expect(JSON.parse(json.stdout)).toMatchObject([
      { id: newer, state: "approval_pending" },
      { id: older },
    ]);
  });

  test("shows one with its plan, its reasons and its audit trail", async () => {
    const id = await waitingRun("shown");

    const { code, stdout } = await workplace.fettle(["runs", id], env);
    const json = await workplace.fettle(["runs", id, "--json"], env);

    expect(code).toBe(0);
    for (const line of [
      `${id}  default/shop/deployment/shown  approval_pending`,
      "plan: Restart the 3 pods of shop/shown, one after the other (rollout restart)",
      "  asks ana, ivan",
      "  request  (detector)",
    ]) {
      expect(stdout).toContain(line);
    }
    expect(JSON.parse(json.stdout)).toMatchObject({
      id,
      decision: { verdict: { kind: "act" } },
      audit: [{ event: "request" }, { event: "approval_pending" }],
    });
  });

  test("hands out each approver's links, while somebody is asked", async () => {
    const id = await waitingRun("links");

    const { stdout } = await workplace.fettle(["runs", id, "--links"], {
      ...env,
      RUNBOOKS_URL: "https://fettle.example.com/",
    });
    const unsigned = await workplace.fettle(["runs", id, "--links"], {
      ...env,
      RUNBOOK_APPROVAL_SECRET: "",
    });

    expect(stdout).toMatch(
      /^ana\n {2}approve: https:\/\/fettle\.example\.com\/approve\?id=apr_\w+&token=[\w-]{43}\n {2}reject: /,
    );
    expect(stdout).not.toContain("canary");
    expect(unsigned.code).toBe(2);
    expect(await workplace.fettle(["runs", "nope", "--links"], env)).toMatchObject({ code: 4 });
  });

  test("that do not exist are 4", async () => {
    expect(await workplace.fettle(["runs", "nope"], env)).toEqual({
      code: 4,
      stdout: "",
      stderr: "fettle: there is no run nope\n",
    });
  });
});

describe("approve and reject", () => {
  test("by an approver decide once; the second answer is refused and hears who was first", async () => {
    const id = await waitingRun("approved");

    const stranger = await workplace.fettle(["approve", id, "--as", "mallory"], env);
    const first = await workplace.fettle(["approve", id, "--as", "ana", "--json"], env);
    const second = await workplace.fettle(["reject", id, "--as", "ivan"], env);

    expect(stranger).toMatchObject({ code: 3, stdout: "" });
    expect(stranger.stderr).toBe("fettle: mallory may not: not in the list of approvers\n");
    expect(first.code).toBe(0);
    expect(JSON.parse(first.stdout)).toEqual({ kind: "decided", runId: id });
    expect(second).toEqual({ code: 3, stdout: "", stderr: "fettle: already approved by ana\n" });
  });

  test("keep the reason, and end a rejected run", async () => {
    const id = await waitingRun("rejected");

    const { code, stdout } = await workplace.fettle(
      ["reject", id, "--as", "ivan", "--reason", "deploy under way"],
      env,
    );

    expect({ code, stdout }).toEqual({ code: 0, stdout: `${id}: rejected by ivan\n` });
    expect((await workplace.fettle(["runs", id], env)).stdout).toContain(
      "rejected: rejected by ivan",
    );
    const { rows } = await database.query(
      "SELECT detail->>'reason' AS reason FROM runbooks_audit WHERE run_id = $1 AND event = 'rejected'",
      [id],
    );
    expect(rows).toEqual([{ reason: "deploy under way" }]);
  });

  test("of what does not exist are 4, and of what has expired 3", async () => {
    const id = await waitingRun("expired");
    await database.query(
      "UPDATE approvals SET expires_at = now() - interval '1 second' WHERE run_id = $1",
      [id],
    );

    expect(await workplace.fettle(["approve", "nope", "--as", "ana"], env)).toMatchObject({
      code: 4,
      stderr: "fettle: nope has no request to answer\n",
    });
    expect(await workplace.fettle(["approve", id, "--as", "ana"], env)).toMatchObject({
      code: 3,
      stderr: "fettle: already expired\n",
    });
  });
});

describe("export and decrypt", () => {
  let exporting: Env;
  let firstExport: Ended;
  let sealed: string;

  beforeAll(async () => {
    const exports = join(workplace.folder, "exports");
    await mkdir(exports);
    for (const name of ["local.key", "other.key"])
      await writeKey(join(workplace.folder, name), randomBytes(32).toString("base64"));
    exporting = {
      ...env,
      AUDIT_ENC_MODE: "kms",
      AUDIT_LOCAL_KEY_FILE: join(workplace.folder, "local.key"),
      AUDIT_EXPORT_DIR: exports,
    };
    await waitingRun("exported");
    firstExport = await workplace.fettle(["export", "--json"], exporting);
    sealed = join(exports, (await readdir(exports))[0] ?? "");
  });

  async function writeKey(path: string, key: string): Promise<void> {
    await writeFile(path, `${key}\n`, { mode: 0o600 });
  }

  test("exports what is new, and has nothing to do the second time", async () => {
    expect(firstExport).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(firstExport.stdout)).toMatchObject({
      outcome: "exported",
      rows: expect.any(Number),
    });
    expect(await workplace.fettle(["export"], exporting)).toEqual({
      code: 0,
      stdout: "No new rows since the last export.\n",
      stderr: "",
    });
  });

  test("what was exported comes back, on stdout or as a file, and is not overwritten", async () => {
    const stdout = await workplace.fettle(["decrypt", sealed, "--out", "-"], exporting);
    const file = await workplace.fettle(
      ["decrypt", sealed, "--out", "rows.csv", "--json"],
      exporting,
    );
    const again = await workplace.fettle(["decrypt", sealed, "--out", "rows.csv"], exporting);

    expect(stdout).toMatchObject({ code: 0, stderr: "" });
    expect(stdout.stdout).toMatch(/^id,xid,ts,run_id,event,/);
    expect(stdout.stdout).toContain("default/shop/deployment/exported");
    expect(JSON.parse(file.stdout)).toMatchObject({ opened: ["envelope"] });
    expect(await readFile(join(workplace.folder, "rows.csv"), "utf8")).toBe(stdout.stdout);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("rows.csv exists already; it was not overwritten");
  });

  test.each<[string, (text: string) => string, string[], string]>([
    ["a wrong key", (text) => text, ["--key", "other.key"], "wrong key"],
    ["no key file", (text) => text, ["--key", "no.key"], "no.key"],
    ["a truncated file", (text) => text.slice(0, text.length / 2), [], "the envelope is truncated"],
    ["a changed file", changed, [], "authenticat"],
    ["another file", () => "hello", [], "neither an envelope nor an OpenPGP message"],
  ])("%s opens nothing and writes nothing", async (_name, change, more, message) => {
    const broken = join(workplace.folder, "broken.envelope.json");
    await writeFile(broken, change(await readFile(sealed, "utf8")));
    const keys = await Promise.all(
      ["local.key", "other.key"].map(async (name) =>
        readFile(join(workplace.folder, name), "utf8"),
      ),
    );

    for (const out of ["-", "broken.csv"]) {
      const ended = await workplace.fettle(["decrypt", broken, "--out", out, ...more], exporting);

      expect(ended).toMatchObject({ code: 1, stdout: "" });
      expect(ended.stderr).toMatch(/^fettle: \S/);
      expect(ended.stderr).toContain(message);
      for (const key of keys) expect(ended.stderr).not.toContain(key.trim());
    }
    expect(await readdir(workplace.folder)).not.toContain("broken.csv");
  });

  test("a key that others may read is refused", async () => {
    await writeFile(join(workplace.folder, "open.key"), "x", { mode: 0o644 });

    const { code, stderr } = await workplace.fettle(["decrypt", sealed, "--key", "open.key"], env);

    expect(code).toBe(1);
    expect(stderr).toContain("mode 0644: others may read it; run chmod 600");
  });
});

/** One character of the ciphertext is another one. */
function changed(text: string): string {
  const envelope = JSON.parse(text) as Record<string, string>;
  const [name = "", value = ""] =
    Object.entries(envelope).sort(([, a], [, b]) => b.length - a.length)[0] ?? [];
  const middle = Math.floor(value.length / 2);
  const other = value[middle] === "A" ? "B" : "A";
  return JSON.stringify({
    ...envelope,
    [name]: value.slice(0, middle) + other + value.slice(middle + 1),
  });
}

describe("a reader that goes away", () => {
  test("is no fault: what is left is not written, and the exit code is 0", async () => {
    await database.query(
      `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, finished_at, outcome)
       SELECT 'run_pipe' || n, 'pipe' || n, 'anomaly', 'failed', 'shop', 'pipe', '{}', now(), now(), repeat('x', 200)
         FROM generate_series(1, 1000) n`,
    );

    const ended = await workplace.shell(
      '{ "$FETTLE" runs --limit 1000; echo "code $?" >&2; } | head -1',
      env,
    );

    expect(ended.stdout).toMatch(/^RUN .*\n$/);
    expect(ended.stderr).toBe("code 0\n");
  });
});
