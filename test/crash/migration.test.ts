import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { fettle } from "../fakes/fettle.ts";
import {
  openTestDatabase,
  type PrivatePostgres,
  startPrivatePostgres,
} from "../servers/postgres.ts";

let postgres: PrivatePostgres;
beforeAll(async () => {
  postgres = await startPrivatePostgres();
});
afterAll(async () => postgres.remove());

test("killed in the middle of the migrations, none has happened, nothing is locked, and the next try makes all", async () => {
  const env = { AIOPS_DATABASE_URL: postgres.url };
  const database = openTestDatabase(postgres.url);

  const killed = await fettle(["migrate"], { ...env, FETTLE_FAILPOINT: "migrating:5" });
  const { rows: left } = await database.query(
    "SELECT to_regclass('runs') AS runs, to_regclass('inbox') AS inbox",
  );
  const again = await fettle(["migrate", "--json"], env);

  expect(killed.code).not.toBe(0);
  expect(left).toEqual([{ runs: null, inbox: null }]);
  expect(again).toMatchObject({ code: 0, stderr: "" });
  const { applied } = JSON.parse(again.stdout) as { applied: string[] };
  expect(applied.slice(0, 2)).toEqual(["0001_runbooks", "0002_detector"]);
  expect((await fettle(["migrate"], env)).stdout).toBe("The schema is up to date.\n");
  await database.close();
});
