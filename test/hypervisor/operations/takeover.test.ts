import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { openMemory } from "../../../hypervisor/backends/memory/open.ts";
import type { Backend } from "../../../hypervisor/backends/types.ts";
import { BackendError } from "../../../hypervisor/backends/error.ts";
import { answeringProblems } from "../../../hypervisor/backend-problems.ts";
import { handlers } from "../../../hypervisor/operations/handlers.ts";
import { findProgress, type Progress } from "../../../hypervisor/operations/progress-table.ts";
import { startRunner, type Runner } from "../../../hypervisor/operations/run-operations.ts";
import { sweepOperations } from "../../../hypervisor/operations/sweep.ts";
import { insertOperation } from "../../../hypervisor/operations/table.ts";
import type { Work } from "../../../hypervisor/operations/types.ts";
import { pruneHandler } from "../../../hypervisor/schedules/prune.ts";
import { exportHandler } from "../../../hypervisor/snapshots-export/handler.ts";
import { systemClock, type Clock } from "../../../lib/clock.ts";
import { newId } from "../../../lib/id.ts";
import { silentLog } from "../../../lib/log.ts";
import type { Database } from "../../../lib/postgres.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { rowsOf } from "../frame/given.ts";
import { noVault } from "../snapshots-export/given.ts";

const PLACE = { project: "default", name: "web" };

let own: TestDatabase;
let database: Database;
let memory: Backend;
let runners: Runner[];
/** What the backend was asked to change. */
let asked: string[];
let thaw: PromiseWithResolvers<undefined>;

beforeEach(async () => {
  own = await createTestDatabase();
  database = openTestDatabase(own.url);
  memory = openMemory();
  await memory.containers.create({ ...PLACE, image: "debian:12" });
  runners = [];
  asked = [];
  thaw = Promise.withResolvers();
});
afterEach(async () => {
  thaw.resolve(undefined);
  for (const runner of runners) await runner.stop();
  await database.close();
  await own.drop();
});

/** A replica whose backend is all replicas'; `before` comes before what it changes. */
function replica(
  before: () => Promise<void> = async () => Promise.resolve(),
  more: Partial<Parameters<typeof startRunner>[0]> = {},
): Runner {
  const noting =
    <R extends object, A>(verb: string, work: (request: R) => Promise<A>) =>
    async (request: R): Promise<A> => {
      asked.push(verb);
      await before();
      return work(request);
    };
  const { snapshots, containers } = memory;
  const backend: Backend = {
    ...memory,
    containers: {
      ...containers,
      create: noting("create", containers.create),
      act: noting("act", containers.act),
      remove: noting("remove", containers.remove),
    },
    snapshots: {
      ...snapshots,
      create: noting("snapshot", snapshots.create),
      restore: noting("restore", snapshots.restore),
      remove: noting("delete", snapshots.remove),
    },
  };
  const runner = startRunner({
    database,
    backend: answeringProblems(backend),
    handlers: {
      ...handlers,
      prune: pruneHandler(database),
      "export-snapshot": exportHandler({ vault: noVault, clock: systemClock }),
    },
    clock: systemClock,
    log: silentLog,
    leaseSeconds: 3,
    ending: async () => Promise.resolve(),
    ended: () => undefined,
    ...more,
  });
  runners.push(runner);
  return runner;
}

/** An operation in the table; `begun`: by a process that was killed, whose lease has ended. */
async function given(work: Work, { begun = false } = {}): Promise<string> {
  const id = newId("op");
  await insertOperation(database, {
    ...{ id, work, resourceId: "web/s1", organization: undefined },
    ...{ actor: "ana", ip: "127.0.0.1", summary: "Did it" },
  });
  if (begun)
    await database.query(
      `UPDATE hypervisor_operations SET status = 'in_progress', owner = 'killed', epoch = 1, started_at = now(),
              expires_at = now() - interval '1 second' WHERE id = $1`,
      [id],
    );
  return id;
}

async function ended(id: string): Promise<Progress | undefined> {
  let progress: Progress | undefined;
  await waitUntil(`the end of ${id}`, async () => {
    progress = await findProgress(database, id, { organization: undefined });
    return progress !== undefined && progress.ended_at !== null;
  });
  return progress;
}

const SNAPSHOT: Work = { verb: "snapshot", ...PLACE, snapshot: "s1", comment: "" };

test("what no process has begun is done by any of them, once", async () => {
  const id = await given(SNAPSHOT);
  replica();
  replica();

  expect(await ended(id)).toMatchObject({ status: "completed" });
  expect(asked).toEqual(["snapshot"]);
  expect((await rowsOf(database)).map(({ event, result }) => [event, result])).toEqual([
    ["SnapshotCreated", "Success"],
  ]);
});

test("a snapshot that a killed process took is found, not taken again", async () => {
  await memory.snapshots.create({ ...PLACE, snapshot: "s1" });
  const id = await given(SNAPSHOT, { begun: true });
  replica();

  expect(await ended(id)).toMatchObject({
    status: "completed",
    message: "found done after an interruption",
    result: { name: "s1" },
  });
  expect(asked).toEqual([]);
});

test.each<[string, Work]>([
  ["a snapshot that is not there", SNAPSHOT],
  ["a restore", { verb: "restore", ...PLACE, snapshot: "s1" }],
  [
    "a container that is not there",
    { verb: "create", ...PLACE, name: "new", image: "debian:12", start: true },
  ],
])("%s, begun by a killed process, has failed for people to look at", async (_what, work) => {
  const id = await given(work, { begun: true });
  replica();

  const progress = await ended(id);
  expect(progress?.status).toBe("failed");
  expect(progress?.error).toMatch(
    /^interrupted, state of the container default\/\w+ unknown — look$/,
  );
  expect(asked).toEqual([]);
  expect((await rowsOf(database)).at(-1)).toMatchObject({ result: "Failure" });
});

test("what may be done twice is gone on with: deletions, and the start of what was made", async () => {
  const container = await memory.containers.get(PLACE);
  await memory.snapshots.create({ ...PLACE, snapshot: "s1" });
  await memory.containers.create({ ...PLACE, name: "new", image: "debian:12" });
  const works: Work[] = [
    { verb: "delete-snapshot", ...PLACE, snapshot: "s1" },
    { verb: "create", ...PLACE, name: "new", image: "debian:12", start: true },
  ];
  const ids = await Promise.all(works.map(async (work) => given(work, { begun: true })));
  replica();

  for (const id of ids) expect(await ended(id)).toMatchObject({ status: "completed" });
  expect(asked.toSorted()).toEqual(["act", "delete"]);
  expect(await memory.snapshots.list(PLACE)).toEqual([]);
  const removal: Work = { verb: "remove", ...PLACE, force: true, containerId: container.id };
  expect(await ended(await given(removal, { begun: true }))).toMatchObject({ status: "completed" });
  // Somebody has made another one of the name meanwhile, which is not the one that was to go.
  await memory.containers.create({ ...PLACE, image: "debian:12" });
  expect(await ended(await given(removal, { begun: true }))).toMatchObject({ status: "completed" });
  expect((await memory.containers.list({})).map(({ name }) => name)).toEqual(["new", "web"]);
});

test("a process that was frozen in the middle cannot write an end that another one has written", async () => {
  const begun = Promise.withResolvers<undefined>();
  replica(async () => {
    begun.resolve(undefined);
    await thaw.promise;
  });
  const id = await given(SNAPSHOT);
  await begun.promise;
  await database.query(
    "UPDATE hypervisor_operations SET epoch = epoch + 1, owner = 'other', expires_at = now() - interval '1 s' WHERE id = $1",
    [id],
  );
  replica();

  expect(await ended(id)).toMatchObject({ status: "failed" });
  thaw.resolve(undefined);
  for (const runner of runners.splice(0)) await runner.stop();
  expect(await findProgress(database, id, { organization: undefined })).toMatchObject({
    status: "failed",
  });
  expect(await rowsOf(database)).toHaveLength(1);
});

test("a stopped service gives its operation back at once, and the next one looks", async () => {
  const begun = Promise.withResolvers<undefined>();
  const runner = replica(async () => {
    begun.resolve(undefined);
    return new Promise((_resolve, reject) => setTimeout(reject, 200, new Error("cut")));
  });
  const id = await given(SNAPSHOT);
  await begun.promise;
  await runner.stop();

  expect(await findProgress(database, id, { organization: undefined })).toMatchObject({
    status: "in_progress",
  });
  replica();
  expect(await ended(id)).toMatchObject({ status: "failed" });
});

test("work that this version does not know ends as failed, and the others are done", async () => {
  const strange = await given(SNAPSHOT);
  await database.query(
    `UPDATE hypervisor_operations SET work = '{"verb": "teleport", "project": "default", "name": "web"}', object = NULL
      WHERE id = $1`,
    [strange],
  );
  const id = await given({ ...SNAPSHOT, snapshot: "s2" });
  replica();

  expect(await ended(id)).toMatchObject({ status: "completed" });
  expect(await ended(strange)).toMatchObject({
    status: "failed",
    error: "what was to be done is not known to this version",
  });
  expect((await rowsOf(database)).map(({ event, result }) => [event, result])).toEqual([
    ["SnapshotCreated", "Failure"],
    ["SnapshotCreated", "Success"],
  ]);
});

/** Looks every 20 ms. */
const hasty: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => systemClock.sleep(Math.min(ms, 20), signal),
};
const late = async () =>
  Promise.reject(new BackendError("timeout", "the backend did not finish; it may still do it"));

test("what the backend does after its deadline keeps the container, and ends well", async () => {
  replica(late, { clock: hasty });
  const id = await given(SNAPSHOT);
  await waitUntil("the work", async () => Promise.resolve(asked.length === 1));
  await expect(given({ ...SNAPSHOT, snapshot: "s2" })).rejects.toMatchObject({ status: 409 });
  expect(await findProgress(database, id, { organization: undefined })).toMatchObject({
    status: "in_progress",
  });
  await memory.snapshots.create({ ...PLACE, snapshot: "s1" }); // it has finished

  expect(await ended(id)).toMatchObject({
    status: "completed",
    message: "found done after the backend's deadline",
  });
  expect(asked).toEqual(["snapshot"]);
});

test("late operations take no slot, and fail in the end in the backend's words", async () => {
  replica(late, { clock: hasty, lateMs: 3_000 });
  const ids = await Promise.all(
    Array.from({ length: 9 }, async (_, at) => given({ ...SNAPSHOT, name: `c${at}` })),
  );
  await waitUntil("all nine", async () => Promise.resolve(asked.length === 9));
  const progress = await findProgress(database, ids[0] ?? "", { organization: undefined });
  expect(progress?.status).toBe("in_progress");

  expect(await ended(ids[0] ?? "")).toMatchObject({
    status: "failed",
    error: "the backend did not finish; it may still do it.",
  });
});

test("a workflow whose worker fell silent ends, and old ones are forgotten", async () => {
  const insert = async (id: string, status: string, age: string) =>
    database.query(
      `INSERT INTO hypervisor_operations (id, kind, resource_type, resource_id, actor, ip, summary, status, updated_at, ended_at)
       VALUES ($1, 'workflow', 'workflow', $1, 'ana', '', '', $2, now() - $3::interval,
               CASE WHEN $2 = 'completed' THEN now() - $3::interval END)`,
      [id, status, age],
    );
  await insert("silent", "in_progress", "25 hours");
  await insert("lively", "in_progress", "23 hours");
  await insert("old", "completed", "31 days");

  await sweepOperations(database);

  const read = async (id: string) => findProgress(database, id, { organization: undefined });
  expect(await read("silent")).toMatchObject({
    status: "failed",
    error: expect.stringContaining("24 hours"),
  });
  expect(await read("lively")).toMatchObject({ status: "in_progress" });
  expect(await read("old")).toBe(undefined);
});
