import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { storeMalformed } from "../../runbooks/store.ts";
import { fettle } from "../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenIntake } from "./given-intake.ts";

let testDatabase: TestDatabase;
let database: Database;
let env: Record<string, string>;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  env = { AIOPS_DATABASE_URL: testDatabase.url, RUNBOOK_WEBHOOK_TOKEN: "awh_0123456789abcdef" };
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

test("`fettle alerts` lists what fires, and shows one with its labels, without a sender's control characters", async () => {
  const intake = givenIntake(database, "listed");
  await intake.deliver([
    { labels: { team: "a\u001b[2Jb" } },
    { fingerprint: "over", status: "resolved" },
  ]);

  const listed = await fettle(["alerts", "ls", "--json"], env);
  const found = JSON.parse(listed.stdout) as { id: string; run: string }[];
  const all = await fettle(["alerts", "ls", "--all"], env);
  const shown = await fettle(["alerts", "show", found[0]?.id ?? ""], env);

  expect(found).toMatchObject([
    { namespace: "listed", opened: 1, run: expect.stringMatching(/^run_/) },
  ]);
  expect(all.stdout.trim().split("\n")).toHaveLength(3);
  expect(shown.stdout).toContain("it fires");
  expect(shown.stdout).toContain("team=a\u{FFFD}[2Jb");
  expect(await fettle(["alerts", "show", "none"], env)).toMatchObject({ code: 4 });
  expect(await fettle(["alerts", "ls", "--limit", "0"], env)).toMatchObject({ code: 2 });
});

test("a delivery in quarantine is read again, if this version can and if all of it was kept", async () => {
  const frame = { version: "4", receiver: "r", status: "firing", alerts: [] };
  const keep = async (text: string) =>
    storeMalformed(
      { source: "s", raw: Buffer.from(text), problem: "an older version's" },
      database,
    );
  await keep(JSON.stringify(frame));
  await keep("nonsense");
  await keep(`{"x":"${"y".repeat(70_000)}"}`);
  const listed = await fettle(["alerts", "quarantine", "ls", "--json"], env);
  const [cut, nonsense, whole] = (JSON.parse(listed.stdout) as { id: string }[]).map(
    ({ id }) => id,
  );
  const retry = async (id = "") => fettle(["alerts", "quarantine", "retry", id], env);

  expect(await retry(whole)).toMatchObject({ code: 0 });
  expect(await retry(whole)).toMatchObject({ code: 4 });
  expect(await retry(nonsense)).toMatchObject({
    code: 3,
    stderr: expect.stringContaining("not JSON"),
  });
  expect(await retry(cut)).toMatchObject({ code: 3, stderr: expect.stringContaining("64 KiB") });
  const { rows } = await database.query("SELECT id FROM inbox WHERE processed_at IS NULL");
  expect(rows).toEqual([{ id: whole }]);
});
