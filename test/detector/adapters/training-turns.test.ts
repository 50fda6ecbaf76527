import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openTrainingTurns } from "../../../detector/adapters/training-turns.ts";
import { systemClock } from "../../../lib/clock.ts";
import { silentLog } from "../../../lib/log.ts";
import { openDatabase } from "../../../lib/postgres.ts";
import { createTestDatabase, type TestDatabase } from "../../servers/postgres.ts";

let server: TestDatabase;
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  server = await createTestDatabase();
});
afterAll(async () => {
  for (const end of ends) await end();
  await server.drop();
});

/** One replica: turns over a connection of its own. */
function replica() {
  const options = { url: server.url, applicationName: "test-turns", max: 1 };
  const database = openDatabase(options, silentLog);
  const turns = openTrainingTurns(database, systemClock);
  ends.push(async () => {
    await turns.close();
    await database.close();
  });
  return turns;
}

const SECOND = 1000;
/** A minute ago: due times are remembered for two. */
const now = Date.now() - 60 * SECOND;

test("one of two replicas trains, the other one leaves it alone while it does and after", async () => {
  const [one, other] = [replica(), replica()];
  const due = new Date(now);
  const gate = Promise.withResolvers<undefined>();

  const first = one.take(due, async () => gate.promise.then(() => "trained"));
  await systemClock.sleep(100);
  const meanwhile = await other.take(due, async () => "again");
  const nextMeanwhile = await other.take(new Date(now + SECOND), async () => "at the same time");
  gate.resolve(undefined);

  expect(meanwhile).toEqual({ kind: "taken" });
  expect(nextMeanwhile).toEqual({ kind: "taken" });
  expect(await first).toEqual({ kind: "done", result: "trained" });
  await systemClock.sleep(50);
  expect(await other.take(due, async () => "late")).toEqual({ kind: "taken" });
  const next = new Date(now + 2 * SECOND);
  expect(await other.take(next, async () => "next")).toEqual({ kind: "done", result: "next" });
});

test("two replicas at the same moment: one turn", async () => {
  const due = new Date(now + 10 * SECOND);
  const work = async () => systemClock.sleep(50);

  const turns = await Promise.all(
    [replica(), replica(), replica()].map((one) => one.take(due, work)),
  );

  expect(turns.map(({ kind }) => kind).sort()).toEqual(["done", "taken", "taken"]);
});

test("a training that failed has had its turn: another replica does not fail again", async () => {
  const [one, other] = [replica(), replica()];
  const due = new Date(now + 20 * SECOND);

  const failing = one.take(due, async () => Promise.reject(new Error("no samples")));

  await expect(failing).rejects.toThrow("no samples");
  expect(await other.take(due, async () => "again")).toEqual({ kind: "taken" });
});

test("a replica that stops, and a time long ago, keep nobody from training", async () => {
  const [one, other] = [replica(), replica()];
  const [due, longAgo] = [new Date(now + 30 * SECOND), new Date(now - 3_600 * SECOND)];
  await one.take(due, async () => "trained");
  await one.close();

  expect(await other.take(due, async () => "again")).toEqual({ kind: "done", result: "again" });
  await one.take(longAgo, async () => "trained");
  await systemClock.sleep(100);
  expect((await other.take(longAgo, async () => "again")).kind).toBe("done");
});

test("without a database nobody trains, and the error says so", async () => {
  const options = { url: "postgres://127.0.0.1:1/none", applicationName: "test-turns", max: 1 };
  const database = openDatabase(options, silentLog);
  const turns = openTrainingTurns(database, systemClock);
  let trained = false;

  const turn = turns.take(new Date(), async () => {
    trained = true;
    return Promise.resolve();
  });

  await expect(turn).rejects.toThrow(/ECONNREFUSED/);
  await turns.close();
  await database.close();
  expect(trained).toBe(false);
});
