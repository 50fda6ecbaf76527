import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { Secret } from "../../lib/secret.ts";
import { redisBreakerView } from "../../runbooks/adapters/redis.ts";
import { startFakeRedis, type FakeRedis } from "../fakes/redis.ts";
import { given, slotsOf, stateOf, waitingRun } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

let testDatabase: TestDatabase;
let database: Database;
let redis: FakeRedis;
let apps = 0;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  redis = await startFakeRedis();
});
afterAll(async () => {
  await redis.stop();
  await database.close();
  await testDatabase.drop();
});

const FAULTS: readonly (readonly [string, Parameters<FakeRedis["setMode"]>[0] | "gone"])[] = [
  ["loads its data", { error: "LOADING Redis is loading the dataset in memory" }],
  ["is a replica", { error: "READONLY You can't write against a read only replica." }],
  ["is full", { error: "OOM command not allowed when used memory > 'maxmemory'." }],
  ["wants a password", { error: "NOAUTH Authentication required." }],
  ["has lost its cluster", { error: "CLUSTERDOWN The cluster is down" }],
  ["cannot save", { error: "MISCONF Redis is configured to save RDB snapshots" }],
  ["answers after 5 s", { delayMs: 5_000 }],
  ["hangs up on every command", { cut: true }],
  ["is not there", "gone"],
];

/** The view of a Redis in this state, and how long the whole decision took. */
async function withFault(
  fault: (typeof FAULTS)[number][1],
  work: (view: Awaited<ReturnType<typeof redisBreakerView>>) => Promise<void>,
): Promise<void> {
  const url = fault === "gone" ? "redis://127.0.0.1:1" : redis.url;
  if (fault !== "gone") redis.setMode(fault);
  const view = await redisBreakerView(new Secret(url), silentLog);
  try {
    await work(view);
  } finally {
    await view.stop();
  }
}

test.each(FAULTS)(
  "a Redis that %s lets nobody be asked, and nothing be done",
  async (_name, fault) => {
    await withFault(fault, async (breakerView) => {
      const app = `fault-${++apps}`;
      const setup = given(database, app, { breakerView });
      await setup.deliver([{}]);
      const start = performance.now();
      await setup.advance((await setup.runs())[0]?.id ?? "");

      expect(performance.now() - start).toBeLessThan(4_000); // two commands of 250 ms each, and not 5 s
      expect(await setup.runs()).toMatchObject([
        { state: "skipped_circuit", outcome: expect.stringContaining("store_unavailable") },
      ]);
    });
  },
);

test.each(FAULTS)("a Redis that %s after the approval stops the action", async (_name, fault) => {
  const app = `fault-${++apps}`;
  const setup = given(database, app);
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");

  await withFault(fault, async (breakerView) => {
    await setup.advance(id, { breakerView });
  });

  expect(await stateOf(setup)).toBe("skipped_circuit");
  expect((await setup.events(id)).at(-1)).toBe("skipped_circuit");
  expect(setup.cluster.effects).toEqual([]);
  expect(await slotsOf(app, database)).toBe(0);
});
