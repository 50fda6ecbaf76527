import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openLxd } from "../../../hypervisor/backends/lxd/open.ts";
import { silentLog } from "../../../lib/log.ts";
import { openDatabase, type Database } from "../../../lib/postgres.ts";
import { startFettle, waitUntil, type FettleProcess } from "../../fakes/fettle.ts";
import { startLxd, type Lxd } from "../../servers/lxd.ts";
import { createTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { rowsOf } from "../frame/given.ts";

const TOKEN = randomBytes(32).toString("hex");
const SNAPSHOTS = "/api/v1/containers/web/snapshots";

let lxd: Lxd;
let own: TestDatabase;
let database: Database;
const processes: FettleProcess[] = [];

beforeAll(async () => {
  own = await createTestDatabase();
  database = openDatabase({ url: own.url, applicationName: "test-killed" }, silentLog);
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
});

async function start(failpoint = ""): Promise<FettleProcess> {
  const started = await startFettle("hypervisor", "HYPERVISOR_PORT", {
    AIOPS_DATABASE_URL: own.url,
    HYPERVISOR_API_TOKEN: TOKEN,
    HYPERVISOR_BACKEND: "lxd",
    HYPERVISOR_BACKEND_SOCKET: lxd.socket,
    HYPERVISOR_OPERATION_LEASE_SECONDS: "3",
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
