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

test("three processes that migrate an empty database at once make one migration", async () => {
  const env = { AIOPS_DATABASE_URL: postgres.url };

  const results = await Promise.all([1, 2, 3].map(async () => fettle(["migrate", "--json"], env)));

  expect(results.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
    Array.from({ length: 3 }, () => ({ code: 0, stderr: "" })),
  );
  const applied = results.map(
    ({ stdout }) => (JSON.parse(stdout) as { applied: readonly string[] }).applied,
  );
  const [all = [], ...others] = applied.sort((a, b) => b.length - a.length);
  expect(others).toEqual([[], []]);
  const database = openTestDatabase(postgres.url);
  const { rows } = await database.query<{ name: string }>(
    "SELECT name FROM fettle_migrations ORDER BY id",
  );
  expect(rows.map(({ name }) => name)).toEqual(all);
  const queues = await database.query("SELECT name FROM pgboss.queue WHERE name LIKE 'runbooks-%'");
  expect(queues.rowCount).toBeGreaterThanOrEqual(2);
  await database.close();
});
