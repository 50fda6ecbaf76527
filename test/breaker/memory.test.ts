import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readRunbooksConfig } from "../../runbooks/main.ts";
import { openGuard } from "../../runbooks/guard.ts";
import { given, stateOf, waitingRun } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

const LIMITS = { hourly: 3, daily: 10 };

let testDatabase: TestDatabase;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
});
afterAll(async () => testDatabase.drop());

/** A process that has just started: nothing of what came before is in its memory. */
async function replica<T>(work: (guard: ReturnType<typeof openGuard>) => Promise<T>): Promise<T> {
  const database = openTestDatabase(testDatabase.url);
  try {
    return await work(openGuard({ database, limits: LIMITS, view: undefined }));
  } finally {
    await database.close();
  }
}

/** Runs of one app, one after the other, each by a new process. @returns the states that they came to */
async function actionsOf(app: string, times: number): Promise<readonly (string | undefined)[]> {
  const states = [];
  for (let time = 0; time < times; time += 1) {
    const database = openTestDatabase(testDatabase.url);
    const setup = given(database, app);
    await database.query("UPDATE runs SET finished_at = now() - interval '1 hour' WHERE app = $1", [
      app,
    ]);
    await database.query("UPDATE episodes SET resolved_at = now() WHERE resolved_at IS NULL");
    await database.query("DELETE FROM inbox");
    const id = await waitingRunOf(setup, app, time);
    await setup.answer(id, "approved");
    await setup.advance(id);
    states.push(await stateOf(setup));
    await database.close();
  }
  return states;
}

async function waitingRunOf(setup: ReturnType<typeof given>, app: string, time: number) {
  await setup.deliver([
    { fingerprint: `${app}-${time}`, startsAt: new Date(Date.now() + time * 1000).toISOString() },
  ]);
  const id = (await setup.runs()).at(-1)?.id ?? "";
  await setup.advance(id);
  return id;
}

test("the limit holds over restarts: what a process did is known to the next", async () => {
  expect(await actionsOf("restarted", 5)).toEqual([
    "verifying",
    "verifying",
    "verifying",
    "skipped_circuit",
    "skipped_circuit",
  ]);
});

test("two replicas that have just started count the same", async () => {
  const database = openTestDatabase(testDatabase.url);
  const setup = given(database, "shared");
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  await setup.advance(id);
  await database.close();
  const keys = { target: "default/shop/deployment/shared", app: "app:default/shop/shared" };

  const [one, other] = await Promise.all([
    replica(async (guard) => guard.read(keys)),
    replica(async (guard) => guard.read(keys)),
  ]);

  expect(one).toEqual(other);
  expect(one.target).toEqual({ kind: "known", open: false, usedHour: 1, usedDay: 1 });
});

test("there is no store in memory that could be chosen: without Redis it is Postgres alone", () => {
  const { redisUrl } = readRunbooksConfig({ AIOPS_DATABASE_URL: "postgres://127.0.0.1/x" });

  expect(redisUrl).toBeUndefined();
});
