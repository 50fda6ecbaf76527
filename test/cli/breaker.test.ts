import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenWorkplace, type Env, type Workplace } from "./given.ts";

let workplace: Workplace;
let testDatabase: TestDatabase;
let env: Env;

beforeAll(async () => {
  workplace = await givenWorkplace();
  testDatabase = await createTestDatabase();
  env = { AIOPS_DATABASE_URL: testDatabase.url, RUNBOOK_APPROVERS: "ana=U0ANA,ivan" };
});
afterAll(async () => {
  await testDatabase.drop();
  await workplace.remove();
});

const breaker = async (...args: readonly string[]) => workplace.fettle(["breaker", ...args], env);

test("a breaker is opened by anybody, shown, and closed only by an approver", async () => {
  expect(await breaker("ls")).toMatchObject({
    code: 0,
    stdout: "No breaker is open or in use.\n",
  });
  expect(await breaker("show", "shop/checkout")).toMatchObject({ code: 4 });

  const open = ["open", "shop/checkout", "--as", "mallory", "--reason", "release day"];
  expect(await breaker(...open)).toMatchObject({ code: 0, stdout: "shop/checkout is open now\n" });
  expect(await breaker(...open)).toMatchObject({ stdout: "shop/checkout is open already\n" });

  const { stdout } = await breaker("ls", "--json");
  expect(JSON.parse(stdout)).toMatchObject([
    { key: "app:default/shop/checkout", state: "open", openedBy: "mallory", usedDay: 0 },
  ]);
  expect((await breaker("show", "shop/checkout")).stdout).toMatch(
    /app:default\/shop\/checkout +open +0 +0 +mallory: release day/,
  );

  const close = ["close", "app:default/shop/checkout", "--reason", "released", "--as"];
  expect(await breaker(...close, "mallory")).toMatchObject({
    code: 3,
    stderr: "fettle: mallory is not in RUNBOOK_APPROVERS\n",
  });
  expect(await breaker(...close, "ana")).toMatchObject({ code: 0 });
  expect(JSON.parse((await breaker("show", "shop/checkout", "--json")).stdout)).toMatchObject({
    state: "closed",
    reason: "released",
  });
});

test.each([
  [["open", "checkout", "--as", "ana", "--reason", "x"], "names no breaker"],
  [["open", "shop/checkout", "--as", "ana"], "--reason"],
  [["close", "shop/checkout", "--reason", "x"], "--as"],
  [["open", "shop/checkout", "--as", " ", "--reason", "x"], "must not be empty"],
  [["show", "a/b/c/d/e"], "names no breaker"],
  [["open", "shop/check out", "--as", "ana", "--reason", "x"], "names no breaker"],
  [["open", "app:default/shop/*", "--as", "ana", "--reason", "x"], "names no breaker"],
])("%j is wrong usage, and says why", async (args, why) => {
  const ended = await breaker(...args);

  expect(ended).toMatchObject({ code: 2, stdout: "" });
  expect(ended.stderr).toContain(why);
});
