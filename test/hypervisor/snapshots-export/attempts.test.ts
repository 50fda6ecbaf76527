import { basename } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { answeringProblems } from "../../../hypervisor/backend-problems.ts";
import { openMemory } from "../../../hypervisor/backends/memory/open.ts";
import type { Backend } from "../../../hypervisor/backends/types.ts";
import { handlers } from "../../../hypervisor/operations/handlers.ts";
import { findProgress, type Progress } from "../../../hypervisor/operations/progress-table.ts";
import { startRunner, type Runner } from "../../../hypervisor/operations/run-operations.ts";
import { insertOperation } from "../../../hypervisor/operations/table.ts";
import { pruneHandler } from "../../../hypervisor/schedules/prune.ts";
import { exportHandler } from "../../../hypervisor/snapshots-export/handler.ts";
import type { Vault } from "../../../hypervisor/snapshots-export/types.ts";
import { systemClock } from "../../../lib/clock.ts";
import { newId } from "../../../lib/id.ts";
import { silentLog } from "../../../lib/log.ts";
import type { Database } from "../../../lib/postgres.ts";
import { filesBelow, tempFolder } from "../../exporter/given.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { rowsOf } from "../frame/given.ts";
import { folderVault, openTar, type FolderVault } from "./given.ts";

const PLACE = { project: "default", name: "web" };
const WORK = { verb: "export-snapshot", ...PLACE, snapshot: "s1" } as const;
/** A tar of zeros is whole, and three parts of it are two and a half. */
const PART_BYTES = 40_960;
const TAR = Buffer.alloc(2.5 * PART_BYTES);

let own: TestDatabase;
let database: Database;
let memory: Backend;
let runners: Runner[];
let folder: Awaited<ReturnType<typeof tempFolder>>;
let vault: FolderVault;

beforeEach(async () => {
  own = await createTestDatabase();
  database = openTestDatabase(own.url);
  memory = openMemory();
  await memory.containers.create({ ...PLACE, image: "debian:12" });
  await memory.snapshots.create({ ...PLACE, snapshot: "s1" });
  folder = await tempFolder();
  vault = { ...(await folderVault(folder.path)), partBytes: PART_BYTES };
  runners = [];
});
afterEach(async () => {
  for (const runner of runners) await runner.stop();
  await database.close();
  await own.drop();
  await folder.remove();
});

type Stream = (signal: AbortSignal | undefined) => AsyncIterable<Uint8Array>;

/** A replica whose engine sends this. */
function replica(stream: Stream, more: Partial<Vault> = {}): Runner {
  const backend: Backend = {
    ...memory,
    snapshots: {
      ...memory.snapshots,
      export: async (_request, call) => Promise.resolve(stream(call?.signal)),
    },
  };
  const runner = startRunner({
    database,
    backend: answeringProblems(backend),
    handlers: {
      ...handlers,
      prune: pruneHandler(database),
      "export-snapshot": exportHandler({ vault: { ...vault, ...more }, clock: systemClock }),
    },
    clock: systemClock,
    log: silentLog,
    leaseSeconds: 3,
    ending: async () => Promise.resolve(),
    ended: () => undefined,
  });
  runners.push(runner);
  return runner;
}

async function* whole(): AsyncGenerator<Buffer> {
  for (let at = 0; at < TAR.length; at += 10_240) {
    yield await Promise.resolve(TAR.subarray(at, at + 10_240));
  }
}

async function given(keys?: string[]): Promise<string> {
  const id = newId("op");
  await insertOperation(database, {
    ...{ id, work: { ...WORK, keys }, resourceId: "web/s1", organization: undefined },
    ...{ actor: "ana", ip: "127.0.0.1", summary: "Exported it" },
  });
  return id;
}

/** So many processes have begun it, and were killed. */
async function killed(id: string, times: number): Promise<void> {
  await database.query(
    `UPDATE hypervisor_operations SET status = 'in_progress', owner = 'killed', epoch = $2, started_at = now(),
            expires_at = now() - interval '1 second' WHERE id = $1`,
    [id, times],
  );
}

async function ended(id: string): Promise<Progress | undefined> {
  let progress: Progress | undefined;
  await waitUntil(`the end of ${id}`, async () => {
    progress = await findProgress(database, id, { organization: undefined });
    return progress !== undefined && progress.ended_at !== null;
  });
  return progress;
}

async function names(): Promise<readonly string[]> {
  const files = await filesBelow(vault.out).catch(() => new Map<string, Buffer>());
  return [...files.keys()].map((path) => basename(path)).sort();
}

test("a large snapshot becomes several files that give it back together, and a manifest that was last", async () => {
  const id = await given();
  replica(whole);

  const progress = await ended(id);
  expect(progress).toMatchObject({
    status: "completed",
    result: { parts: 3, tar_bytes: TAR.length },
  });
  const { files } = progress?.result as { files: { location: string }[] };
  const locations = files.map(({ location }) => location);
  expect(locations.map((each) => basename(each))).toEqual([
    "web.s1.tar.zst.envelope.json",
    "web.s1.part002.tar.zst.envelope.json",
    "web.s1.part003.tar.zst.envelope.json",
  ]);
  const tar = await openTar(locations, vault.keyFile, folder.path);
  expect((await filesBelow(folder.path)).get(tar)?.equals(TAR)).toBe(true);
  expect(await names()).toHaveLength(4);
});

test.each<[string, Stream, string]>([
  [
    "an engine that fails in the middle",
    async function* () {
      yield* whole();
      yield Buffer.alloc(PART_BYTES);
      throw new Error("disk on fire");
    },
    "disk on fire",
  ],
  [
    "an engine that ends in the middle as if that were all",
    async function* () {
      yield await Promise.resolve(TAR);
      yield Buffer.from("half a file");
    },
    `the snapshot's tar breaks off after ${TAR.length + 11} bytes`,
  ],
  [
    "an engine that sends nothing",
    async function* () {
      yield await Promise.resolve(Buffer.alloc(0));
    },
    "the snapshot's tar breaks off after 0 bytes",
  ],
])("%s leaves no file, and the reason", async (_what, stream, reason) => {
  const id = await given();
  replica(stream);

  expect(await ended(id)).toMatchObject({
    status: "failed",
    error: expect.stringContaining(reason),
  });
  expect(await names()).toEqual([]);
  expect((await rowsOf(database)).at(-1)).toMatchObject({
    event: "SnapshotExported",
    result: "Failure",
  });
});

test("a store that refuses in the middle leaves no file, and the engine's stream is closed", async () => {
  const { store } = vault;
  let puts = 0;
  let closed = false;
  const id = await given();
  replica(
    async function* () {
      try {
        yield* whole();
        yield* whole();
      } finally {
        closed = true;
      }
    },
    {
      store: store && {
        ...store,
        put: async (key, body, info) => {
          puts += 1;
          if (puts === 2) throw new Error("no room");
          return store.put(key, body, info);
        },
      },
    },
  );

  expect(await ended(id)).toMatchObject({ status: "failed", error: "no room" });
  expect(closed).toBe(true);
  expect(await names()).toEqual([]);
});

test.each<[string, Partial<Vault>, string[] | undefined, RegExp]>([
  [
    "a key that cannot be read",
    { openKeys: async () => Promise.reject(new Error("key file /k has mode 0644")) },
    undefined,
    /key file \/k has mode 0644/,
  ],
  ["a key that is not configured any more", {}, ["aws_kms"], /set AWS_KMS_KEY_ID/],
  ["a place that is not configured any more", { store: undefined }, undefined, /set one of HYP/],
])("%s exports nothing", async (_what, more, keys, reason) => {
  const id = await given(keys);
  replica(whole, more);

  expect(await ended(id)).toMatchObject({
    status: "failed",
    error: expect.stringMatching(reason),
  });
  expect(await names()).toEqual([]);
});

test("what a killed process has left goes, and another one exports it from the start", async () => {
  const id = await given();
  const left = `${PLACE.project}/${PLACE.name}/s1/${id}-1/web.s1.tar.zst.envelope.json`;
  await vault.store?.put(left, Readable.from([Buffer.from("{}")]), {
    contentType: "application/json",
    signal: new AbortController().signal,
  });
  await killed(id, 1);
  replica(whole);

  expect(await ended(id)).toMatchObject({
    status: "completed",
    message: "done after an interruption",
    result: { location: expect.stringContaining(`${id}-2/manifest.json`), parts: 3 },
  });
  expect(await names()).toHaveLength(4);
});

test("a file that ends each process that exports it is given up in the end", async () => {
  const id = await given();
  await killed(id, 5);
  replica(whole);

  expect(await ended(id)).toMatchObject({
    status: "failed",
    error: "interrupted 5 times; nothing was exported",
  });
});

test("a snapshot that was deleted meanwhile was not exported, also after an interruption", async () => {
  const id = await given();
  await memory.snapshots.remove({ ...PLACE, snapshot: "s1" });
  await killed(id, 1);
  replica(whole);

  expect(await ended(id)).toMatchObject({
    status: "failed",
    error: "there is no snapshot s1 of web any more",
  });
});

test("a service that stops in the middle takes its parts away, and the next one does it", async () => {
  const reached = Promise.withResolvers<undefined>();
  const first = replica(async function* (signal) {
    yield TAR;
    reached.resolve(undefined);
    await new Promise((_resolve, reject) => {
      signal?.addEventListener("abort", () => {
        reject(new Error("cut"));
      });
    });
  });
  const id = await given();
  first.kick();
  await reached.promise;
  await first.stop();
  expect(await names()).toEqual([]);
  expect(await findProgress(database, id, { organization: undefined })).toMatchObject({
    status: "in_progress",
  });

  replica(whole);
  expect(await ended(id)).toMatchObject({ status: "completed" });
  expect(await names()).toHaveLength(4);
});

test("two exports at a time leave the other slots to what takes a moment", async () => {
  const hold = Promise.withResolvers<undefined>();
  let exporting = 0;
  for (const name of ["c1", "c2", "c3"]) {
    await memory.containers.create({ ...PLACE, name, image: "debian:12" });
    await memory.snapshots.create({ ...PLACE, name, snapshot: "s1" });
    await insertOperation(database, {
      ...{ id: newId("op"), work: { ...WORK, name }, resourceId: `${name}/s1` },
      ...{ actor: "ana", ip: "127.0.0.1", summary: "Exported it", organization: undefined },
    });
  }
  const id = newId("op");
  await insertOperation(database, {
    ...{ id, work: { verb: "snapshot", ...PLACE, snapshot: "s2", comment: "" } },
    ...{ resourceId: "web/s2", organization: undefined },
    ...{ actor: "ana", ip: "127.0.0.1", summary: "Took it" },
  });
  replica(async function* () {
    exporting += 1;
    await hold.promise;
    yield* whole();
  });

  await waitUntil("two exports", async () => Promise.resolve(exporting === 2));
  expect(await ended(id)).toMatchObject({ status: "completed" });
  expect(exporting).toBe(2);
  hold.resolve(undefined);
  await waitUntil("the third", async () => Promise.resolve(exporting === 3));
});
