import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connectOwner, givenRecord, type Owner } from "../audit/given.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import type { Env } from "./given.ts";
import { fettleHere } from "./in-process.ts";

let testDatabase: TestDatabase;
let owner: Owner;
let env: Env;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  owner = await connectOwner(testDatabase.url);
  await givenRecord(owner, 3, 4);
  env = { AIOPS_DATABASE_URL: testDatabase.url };
});
afterAll(async () => {
  await owner.end();
  await testDatabase.drop();
});

const audit = async (...args: readonly string[]) => fettleHere(["audit", ...args], env);

describe("audit verify", () => {
  test("of a sound record is 0 and says what was looked at", async () => {
    expect(await audit("verify")).toEqual({
      code: 0,
      stdout: "The record is sound: 16 rows in 7 chains, 0 checkpoints.\n",
      stderr: "",
    });
    expect(JSON.parse((await audit("verify", "--from", "1h", "--json")).stdout)).toEqual({
      rows: 16,
      chains: 7,
      rowsBefore: 0,
      checkpoints: 0,
      problems: [],
      problemCount: 0,
    });
  });

  test("needs of the configuration the database's address only", async () => {
    const broken = { ...env, RUNBOOK_AUTOFIX_POLICY: "nonsense", RUNBOOKS_HOST: "0.0.0.0" };

    expect(await fettleHere(["audit", "verify"], broken)).toMatchObject({ code: 0 });
    expect(await fettleHere(["audit", "verify"], {})).toMatchObject({ code: 2 });
    const away = { AIOPS_DATABASE_URL: "postgres://127.0.0.1:1/none" };
    expect(await fettleHere(["audit", "verify"], away)).toMatchObject({ code: 5 });
  });

  test("of a record that was changed is 1, and names the first bad row", async () => {
    const { rows } = await owner.query<{ id: string }>(
      "SELECT id::text FROM runbooks_audit WHERE chain = 'run_1' AND chain_row = 2",
    );
    const id = rows[0]?.id ?? "";
    const guarded = (how: string) =>
      owner.run(`ALTER TABLE runbooks_audit ${how} TRIGGER ALL`).then(() => undefined);
    await guarded("DISABLE");
    await owner.query("UPDATE runbooks_audit SET event = 'approved' WHERE id = $1", [id]);

    const text = await audit("verify");
    const json = await audit("verify", "--json");

    expect(text).toMatchObject({ code: 1, stderr: "" });
    expect(text.stdout).toContain(
      `First: edited: id ${id} is not what was written: its hash differs (chain run_1)`,
    );
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      problemCount: 1,
      problems: [{ kind: "edited", chain: "run_1", id }],
    });
    await owner.query("UPDATE runbooks_audit SET event = 'event_1' WHERE id = $1", [id]);
    await guarded("ENABLE");
    expect(await audit("verify")).toMatchObject({ code: 0 });
  });
});

describe("audit ls and export", () => {
  test("list the newest rows of a run", async () => {
    const { stdout } = await audit("ls", "--run", "run_2", "--limit", "2");
    const json = await audit("ls", "--event", "disabled", "--actor", "ana", "--json");

    const [header = "", first = "", ...more] = stdout.trim().split("\n");
    expect(header).toMatch(/^ID +TIME +EVENT +ACTOR +RUN$/);
    expect(first).toMatch(/^\d+ +\S+Z +event_3 .* run_2$/);
    expect(more).toHaveLength(1);
    expect(JSON.parse(json.stdout)).toHaveLength(4);
  });

  test("write all rows as lines of JSON, and as CSV without formulas", async () => {
    await owner.query(
      "INSERT INTO runbooks_audit (event, actor) VALUES ('request', '=cmd|'' /C calc''!A0')",
    );
    const json = await audit("export", "--format", "json");
    const csv = await audit("export", "--format", "csv", "--event", "request");

    const rows = json.stdout.trim().split("\n");
    expect(rows).toHaveLength(17);
    expect(JSON.parse(rows.at(-1) ?? "")).toMatchObject({ runId: "run_0", event: "event_0" });
    expect(csv.stdout.split("\r\n")[0]).toMatch(/^id,at,runId,event,actor,/);
    expect(csv.stdout).toContain(`"'=cmd|' /C calc'!A0"`);
  });

  test.each([
    [["export"], "--format"],
    [["export", "--format", "xml"], "--format must be csv or json"],
    [["ls", "--from", "2026-02-30"], "--from must be a time"],
    [["ls", "--from", "1d", "--to", "2d"], "--to must be after --from"],
    [["ls", "--limit", "-1"], "--limit must be an integer"],
    [["ls", "--actor", "a\nb"], "--actor: must not contain control characters"],
  ])("%j is wrong usage, and says why", async (args, why) => {
    const ended = await audit(...args);

    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toContain(why);
  });
});
