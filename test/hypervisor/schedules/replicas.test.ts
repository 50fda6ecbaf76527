import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { answeringProblems } from "../../../hypervisor/backend-problems.ts";
import { openMemory } from "../../../hypervisor/backends/memory/open.ts";
import type { Backend } from "../../../hypervisor/backends/types.ts";
import { handlers } from "../../../hypervisor/operations/handlers.ts";
import { startRunner, type Runner } from "../../../hypervisor/operations/run-operations.ts";
import { pruneHandler } from "../../../hypervisor/schedules/prune.ts";
import { noteScheduled, runSchedules } from "../../../hypervisor/schedules/run-schedules.ts";
import { exportHandler } from "../../../hypervisor/snapshots-export/handler.ts";
import { systemClock, type Clock } from "../../../lib/clock.ts";
import { silentLog } from "../../../lib/log.ts";
import type { Database, Queryable } from "../../../lib/postgres.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { noVault } from "../snapshots-export/given.ts";

/** Looks every 20 ms. */
const hasty: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => systemClock.sleep(Math.min(ms, 20), signal),
};
const DUE = "enabled AND next_at <= now()";

let own: TestDatabase;
let backend: Backend;
let databases: Database[];
let runners: Runner[];
let loops: Promise<void>[];
let stopping: AbortController;

beforeEach(async () => {
  own = await createTestDatabase();
  backend = answeringProblems(openMemory());
  [databases, runners, loops] = [[], [], []];
  stopping = new AbortController();
});
afterEach(async () => {
  stopping.abort();
  await Promise.all(loops);
  for (const runner of runners) await runner.stop();
  for (const database of databases) await database.close();
  await own.drop();
});

function connect(): Database {
  const database = openTestDatabase(own.url);
  databases.push(database);
  return database;
}

/** One more replica's schedules, and what does its operations. @param seen what its statements go through */
function replica(seen: (tx: Queryable) => Queryable = (tx) => tx): void {
  const real = connect();
  const database: Database = {
    ...real,
    query: async (sql, values) => seen(real).query(sql, values),
    inTransaction: async (work) => real.inTransaction(async (tx) => work(seen(tx))),
  };
  const runner = startRunner({
    database: real,
    backend,
    handlers: {
      ...handlers,
      prune: pruneHandler(real),
      "export-snapshot": exportHandler({ vault: noVault, clock: systemClock }),
    },
    clock: hasty,
    log: silentLog,
    leaseSeconds: 15,
    ending: noteScheduled,
    ended: () => undefined,
  });
  runners.push(runner);
  const { kick } = runner;
  loops.push(
    runSchedules({ database, backend, clock: hasty, log: silentLog, kick }, stopping.signal),
  );
}

/** Containers with a schedule that is due, each once in a year. */
async function given(database: Database, count: number): Promise<readonly string[]> {
  const names = Array.from({ length: count }, (_, at) => `c${at}`);
  for (const name of names) {
    await backend.containers.create({ project: "default", name, image: "debian:12" });
    await database.query(
      `INSERT INTO hypervisor_schedules (id, project, container, name, cron, time_zone, keep, created_by, next_at)
       VALUES ($1, 'default', $2, 'yearly', '0 0 1 1 *', 'Etc/UTC', '{"last": 9, "daily": 0, "weekly": 0, "monthly": 0}', 'ana',
               now() - interval '1 hour')`,
      [`sched_${name}`, name],
    );
  }
  return names;
}

async function countOf(database: Database, condition: string): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM hypervisor_operations WHERE kind = 'SnapshotCreated' AND ${condition}`,
  );
  return rows[0]?.count ?? 0;
}

async function snapshotsOf(name: string): Promise<number> {
  return (await backend.snapshots.list({ project: "default", name })).length;
}

test("a schedule that one replica is about to run is left alone by the others", async () => {
  const database = connect();
  const [name = ""] = await given(database, 1);
  const [reached, release] = [
    Promise.withResolvers<undefined>(),
    Promise.withResolvers<undefined>(),
  ];
  let rounds = 0;
  replica((tx) => ({
    query: async (sql, values) => {
      const answer = await tx.query(sql, values);
      if (sql.includes(`id = $1 AND ${DUE}`)) {
        reached.resolve(undefined);
        await release.promise; // it has read the schedule, and is slow
      }
      if (sql.includes(`(${DUE})`)) rounds += 1;
      return answer as never;
    },
  }));
  await reached.promise;

  let looks = 0;
  replica((tx) => ({
    query: async (sql, values) => {
      if (sql.includes(`(${DUE})`)) looks += 1;
      return (await tx.query(sql, values)) as never;
    },
  }));
  // So often that it would have been taken, and ended, by now; and in another second, of which snapshots have their names.
  await waitUntil("the other replica to look for more than a second", async () =>
    looks < 60 ? false : (await countOf(database, "ended_at IS NULL")) === 0,
  );
  const before = rounds;
  release.resolve(undefined);
  await waitUntil("the slow one to come round", async () => Promise.resolve(rounds > before));
  await waitUntil(
    "the snapshot",
    async () => (await countOf(database, "ended_at IS NOT NULL")) > 0,
  );
  await waitUntil("the next time", async () => {
    const { rowCount } = await database.query(
      "SELECT FROM hypervisor_schedules WHERE next_at > now() AND last_status = 'completed'",
    );
    return rowCount === 1;
  });

  expect([await countOf(database, "true"), await snapshotsOf(name)]).toEqual([1, 1]);
});

test("of four replicas each due snapshot is taken once", async () => {
  const database = connect();
  const names = await given(database, 24);
  for (let each = 0; each < 4; each += 1) replica();

  await waitUntil(
    "all of them",
    async () => (await countOf(database, "status = 'completed'")) >= 24,
  );
  await waitUntil("nothing more to do", async () => {
    const { rowCount } = await database.query(
      `SELECT FROM hypervisor_schedules WHERE next_at <= now() OR prune_due`,
    );
    return rowCount === 0 && (await countOf(database, "ended_at IS NULL")) === 0;
  });

  expect(await countOf(database, "true")).toBe(24);
  expect(await Promise.all(names.map(async (name) => snapshotsOf(name)))).toEqual(
    names.map(() => 1),
  );
});
