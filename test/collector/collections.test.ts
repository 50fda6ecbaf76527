import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "../../lib/adapters/storage/open.ts";
import { systemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { StorageError, type BlobStore } from "../../lib/storage.ts";
import { collect, StoreRest, type CollectDeps } from "../../runbooks/collect/collect.ts";
import { findCollection, findHeldBundle } from "../../runbooks/collect/find.ts";
import {
  CollectionLost,
  dueCollections,
  forgetOld,
  keepBundle,
  orderCollection,
  renew,
  takeCollection,
} from "../../runbooks/collect/table.ts";
import type { Diagnostics } from "../../runbooks/types/collect.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

const HELD_BYTES_MAX = 256 * 1024;

let testDatabase: TestDatabase;
let database: Database;
let folder: string;
let runs = 0;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  folder = await mkdtemp(join(tmpdir(), "fettle-collections-"));
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
  await rm(folder, { recursive: true });
});

/** A run, and the order to collect for it. */
async function ordered(): Promise<string> {
  runs += 1;
  const id = `run_${runs}`;
  await database.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at)
     VALUES ($1, $2, 'slow', 'collecting', 'shop', 'web', $3, now() + interval '1 hour')`,
    [
      id,
      `default/shop/deployment/web-${runs}`,
      {
        trigger: "m",
        reason: "",
        alertname: "A",
        source: "s",
        labels: {},
        annotations: {},
        startsAt: "2026-11-21T03:00:00Z",
        truncated: false,
      },
    ],
  );
  const steps = [{ step: "logs", lines: 10, previous: false, max_bytes: 1_000_000 }] as const;
  const key = `runs/2026/11/21/${id}/diagnostics.tar.gz`;
  expect(await orderCollection(database, { runId: id, key, steps })).toBe(true);
  return id;
}

/** A cluster whose one pod has printed this. */
function printing(text: string): Diagnostics {
  const metadata = { name: "web", namespace: "shop" };
  return {
    objects: async () => ({
      workload: { kind: "Deployment", metadata },
      pods: [{ kind: "Pod", metadata, spec: { containers: [{ name: "app" }] } }],
      revisions: [],
      others: [],
      problems: [],
    }),
    events: async () => [],
    log: async () => text,
  };
}

function given(more: Partial<CollectDeps> = {}): CollectDeps & { readonly jobs: object[] } {
  const jobs: object[] = [];
  return {
    database,
    jobs,
    enqueue: async (_, queue, data) => {
      jobs.push({ queue, ...data });
    },
    clock: systemClock,
    log: silentLog,
    store: undefined,
    rest: new StoreRest(),
    linkSeconds: 0,
    stopping: new AbortController().signal,
    diagnostics: printing("all is well\n"),
    metrics: undefined,
    containers: undefined,
    secrets: [],
    ...more,
  };
}

function failingStore(counts: { puts: number }): BlobStore {
  return {
    ...openStore({ kind: "folder", path: folder }),
    put: async () => {
      counts.puts += 1;
      throw new StorageError("unavailable", "the store is away");
    },
  };
}

test("when it is gathered the run is told, by its job and by its look", async () => {
  const id = await ordered();
  await database.query("UPDATE runs SET look_at = NULL WHERE id = $1", [id]);
  const deps = given();

  await collect(id, deps);

  expect(deps.jobs).toEqual([{ queue: "runbooks-run", runId: id }]);
  const { rowCount } = await database.query(
    "SELECT 1 FROM runs WHERE id = $1 AND look_at <= now()",
    [id],
  );
  expect(rowCount).toBe(1);
  expect(await findCollection(id, database)).toMatchObject({ state: "kept" });
});

test("a bundle that is too large for the database goes to the store whole", async () => {
  const noise = Array.from({ length: 5_000 }, () => randomBytes(60).toString("hex")).join("\n");
  const id = await ordered();

  await collect(
    id,
    given({ store: openStore({ kind: "folder", path: folder }), diagnostics: printing(noise) }),
  );

  const stored = await findCollection(id, database);
  expect(stored).toMatchObject({ state: "stored", index: { cut: false } });
  expect(stored?.bytes).toBeGreaterThan(HELD_BYTES_MAX);
  expect((await readFile(stored?.location ?? "")).length).toBe(stored?.bytes);
});

test("a failed upload is tried again later and later, and is given up after a day; what there is stays", async () => {
  const counts = { puts: 0 };
  const id = await ordered();
  const pauses: number[] = [];
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await database.query("UPDATE collections SET next_at = now() WHERE run_id = $1", [id]);
    await collect(id, given({ store: failingStore(counts) }));
    const { rows } = await database.query<{ pause: number }>(
      "SELECT extract(epoch FROM next_at - now())::float AS pause FROM collections WHERE run_id = $1",
      [id],
    );
    pauses.push(Math.round(rows[0]?.pause ?? 0));
  }
  expect(pauses).toEqual([5, 5, 10, 20]);
  expect(await findCollection(id, database)).toMatchObject({
    state: "pending",
    problem: "the store is away",
  });

  await database.query(
    "UPDATE collections SET next_at = now(), created_at = now() - interval '25 hours' WHERE run_id = $1",
    [id],
  );
  await collect(id, given({ store: failingStore(counts) }));

  expect(await findCollection(id, database)).toMatchObject({ state: "failed" });
  expect((await findHeldBundle(id, database))?.length).toBeGreaterThan(100);
  expect(await dueCollections(database)).not.toContain(id);
  expect(counts.puts).toBe(5);
});

test("after a failure the store is left alone for a while: others are gathered all the same", async () => {
  const counts = { puts: 0 };
  const deps = given({ store: failingStore(counts) });
  const [first, second] = [await ordered(), await ordered()];

  await collect(first, deps);
  await collect(second, deps);

  expect(counts.puts).toBe(1);
  expect(await findCollection(second, database)).toMatchObject({ state: "pending" });
});

test("one worker at a time; when it is gone another goes on, and the first can write nothing any more", async () => {
  const id = await ordered();
  const first = await takeCollection(id, database);
  expect(await takeCollection(id, database)).toBeUndefined();
  if (first === undefined) throw new Error("nobody had it");

  await database.query(
    "UPDATE collections SET lease_until = now() - interval '1 s', next_at = now() WHERE run_id = $1",
    [id],
  );
  expect(await dueCollections(database)).toContain(id);
  await collect(id, given());

  const bundle = { bytes: Buffer.from("late"), sha256: "x", index: {} as never };
  await expect(keepBundle(database, first, bundle, true)).rejects.toBeInstanceOf(CollectionLost);
  await expect(renew(first, database)).rejects.toBeInstanceOf(CollectionLost);
  expect(await findCollection(id, database)).toMatchObject({ state: "kept" });
});

test("a gathering that kills its worker every time ends", async () => {
  const id = await ordered();
  await database.query("UPDATE collections SET attempts = 5 WHERE run_id = $1", [id]);

  await collect(id, given());

  expect(await findCollection(id, database)).toMatchObject({
    state: "failed",
    problem: "its gathering was cut off 5 times",
  });
});

test("a service that stops leaves the collection to the next process, whole", async () => {
  const id = await ordered();
  const stopping = new AbortController();
  const diagnostics = {
    ...printing(""),
    log: async () => {
      stopping.abort();
      return "half";
    },
  };

  await collect(id, given({ diagnostics, stopping: stopping.signal }));

  expect(await findCollection(id, database)).toMatchObject({ state: "waiting" });
  await collect(id, given());
  expect(await findCollection(id, database)).toMatchObject({ state: "kept" });
});

test("each step ends with its time", async () => {
  const id = await ordered();
  const never = async () => new Promise<never>(() => undefined);
  const diagnostics = { ...printing(""), log: never };

  await collect(id, given({ diagnostics, stepMs: 50 }));

  const found = await findCollection(id, database);
  expect(found?.index?.steps).toMatchObject([{ step: "logs", problems: ["it took too long"] }]);
});

test("what the database keeps is forgotten after its days, unless a store still waits for it", async () => {
  const [old, young, waiting] = [await ordered(), await ordered(), await ordered()];
  await collect(old, given());
  await collect(young, given());
  await collect(waiting, given({ store: failingStore({ puts: 0 }) }));
  await database.query(
    "UPDATE collections SET created_at = now() - interval '31 days' WHERE run_id = ANY ($1)",
    [[old, waiting]],
  );

  await forgetOld(30, database);

  const held = async (id: string) => (await findHeldBundle(id, database)) !== undefined;
  expect([await held(old), await held(young), await held(waiting)]).toEqual([false, true, true]);
});

test("in a storm the fifty-first is not ordered, and its run is told why", async () => {
  await database.query("DELETE FROM collections");
  for (let at = 0; at < 50; at += 1) await ordered();
  runs += 1;
  const id = `run_${runs}`;
  await database.query(
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at)
     VALUES ($1, $1, 'slow', 'matched', 'shop', 'web', '{}', now())`,
    [id],
  );

  expect(await orderCollection(database, { runId: id, key: "k", steps: [] })).toBe(false);

  expect(await findCollection(id, database)).toMatchObject({
    state: "failed",
    problem: "not gathered: 50 others were waiting",
  });
});
