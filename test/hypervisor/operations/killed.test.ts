import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openLxd } from "../../../hypervisor/backends/lxd/open.ts";
import type { Database } from "../../../lib/postgres.ts";
import { filesBelow, localKeyFile, tempFolder } from "../../exporter/given.ts";
import { startFettle, waitUntil, type FettleProcess } from "../../fakes/fettle.ts";
import { startLxd, type Lxd } from "../../servers/lxd.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { rowsOf } from "../frame/given.ts";

const TOKEN = randomBytes(32).toString("hex");
const SNAPSHOTS = "/api/v1/containers/web/snapshots";

let lxd: Lxd;
let own: TestDatabase;
let database: Database;
let folder: Awaited<ReturnType<typeof tempFolder>>;
let key: string;
const processes: FettleProcess[] = [];

beforeAll(async () => {
  own = await createTestDatabase();
  database = openTestDatabase(own.url);
  folder = await tempFolder();
  key = await localKeyFile(folder.path);
  lxd = await startLxd();
  const backend = openLxd({ name: "lxd", address: { socket: lxd.socket } });
  await backend.containers.create({ project: "default", name: "web", image: lxd.image });
  await backend.close();
});
afterAll(async () => {
  for (const each of processes) await each.kill();
  await database.close();
  await own.drop();
  await lxd.stop();
  await folder.remove();
});

async function start(failpoint = ""): Promise<FettleProcess> {
  const started = await startFettle("hypervisor", "HYPERVISOR_PORT", {
    AIOPS_DATABASE_URL: own.url,
    HYPERVISOR_API_TOKEN: TOKEN,
    HYPERVISOR_BACKEND: "lxd",
    HYPERVISOR_BACKEND_SOCKET: lxd.socket,
    HYPERVISOR_OPERATION_LEASE_SECONDS: "3",
    HYPERVISOR_EXPORT_DIR: join(folder.path, "out"),
    AUDIT_LOCAL_KEY_FILE: key,
    FETTLE_FAILPOINT: failpoint,
  });
  processes.push(started);
  return started;
}

async function send(url: string, path: string, body?: object) {
  const response = await fetch(`${url}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      authorization: `Bearer ${TOKEN}`,
      "content-type": "application/json",
      "idempotency-key": JSON.stringify(body ?? null).replaceAll(" ", ""),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

test("an API that is killed in mid-snapshot leaves no operation running, and the next one asks LXD what became of it", async () => {
  const before = await start("operation-begun");
  const lost = await send(before.url, SNAPSHOTS, { name: "lost" });
  await before.exited; // killed before LXD was asked
  const between = await start("operation-acted");
  const id = String(lost.body["workflow_id"]);
  const progress = async (url: string, of: string) => (await send(url, `/progress/${of}`)).body;
  await waitUntil(
    "the end of the first",
    async () => (await progress(between.url, id))["ended_at"] !== null,
  );
  expect(await progress(between.url, id)).toMatchObject({
    status: "failed",
    error: "interrupted, state of the container default/web unknown — look",
  });

  const taken = await send(between.url, SNAPSHOTS, { name: "taken" });
  await between.exited; // killed after LXD had taken it, before that was written down
  const after = await start();
  const again = await send(after.url, SNAPSHOTS, { name: "taken" });
  expect([again.status, again.body["workflow_id"]]).toEqual([202, taken.body["workflow_id"]]);
  const second = String(taken.body["workflow_id"]);
  await waitUntil(
    "the end of the second",
    async () => (await progress(after.url, second))["ended_at"] !== null,
  );

  expect(await progress(after.url, second)).toMatchObject({
    status: "completed",
    message: "found done after an interruption",
    result: { name: "taken", container: "web" },
  });
  expect((await send(after.url, SNAPSHOTS)).body).toMatchObject({
    total: 1,
    snapshots: [{ name: "taken" }],
  });
  const rows = (await rowsOf(database)).filter(({ event }) => event === "SnapshotCreated");
  expect(rows.map(({ target, result }) => [target.split("/").at(-1), result])).toEqual([
    ["lost", "Started"],
    ["lost", "Failure"],
    ["taken", "Started"],
    ["taken", "Success"],
  ]);
}, 180_000);

test("an export that is killed twice, packed and stored, is done by the next one, and nothing of the others is left", async () => {
  for (const each of processes) await each.kill(); // those of other tests would do it
  const packed = await start("snapshot-packed");
  const asked = await send(packed.url, `${SNAPSHOTS}/export`, { snapshot_name: "taken" });
  await packed.exited;
  const images = async () => JSON.stringify(await lxd.ask("GET", "/1.0/images?recursion=1"));
  expect(await images()).toContain('"fettle.export":"web"');
  const stored = await start("snapshot-parts-stored");
  await stored.exited;
  const out = join(folder.path, "out");
  expect([...(await filesBelow(out)).keys()].join()).toMatch(
    /-2\/web\.taken\.tar\.zst\.envelope\.json$/,
  );

  const last = await start();
  const id = String(asked.body["workflow_id"]);
  let body: Record<string, unknown> = {};
  await waitUntil("the end of the export", async () => {
    ({ body } = await send(last.url, `/progress/${id}`));
    return body["ended_at"] !== null;
  });

  expect(body).toMatchObject({ status: "completed", message: "done after an interruption" });
  const files = [...(await filesBelow(out)).keys()].map((path) =>
    path.split("/").slice(-2).join("/"),
  );
  expect(files.toSorted()).toEqual([
    `${id}-3/manifest.json`,
    `${id}-3/web.taken.tar.zst.envelope.json`,
  ]);
  expect(await images()).not.toContain("fettle.export");
  const rows = (await rowsOf(database)).filter(({ event }) => event === "SnapshotExported");
  expect(rows.map(({ result }) => result)).toEqual(["Started", "Success"]);
}, 180_000);
