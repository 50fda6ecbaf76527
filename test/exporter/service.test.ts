import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { exportOnce, startExporter, type Progress } from "../../exporter/main.ts";
import { scheduleExports } from "../../exporter/schedule.ts";
import { systemClock } from "../../lib/clock.ts";
import { armFailpoint } from "../../lib/failpoint.ts";
import { silentLog } from "../../lib/log.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { addRows, connectTo, folderConfig, tempFolder } from "./given.ts";

let database: TestDatabase;
let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeEach(async () => {
  folder = await tempFolder();
  database = await createTestDatabase();
});
afterEach(async () => {
  await database.drop();
  await folder.remove();
});

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, "m").exec(text)?.[1]);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 100; n++) {
    if (await condition()) return;
    await systemClock.sleep(50);
  }
  throw new Error("it did not come true in 5 s");
}

test("the service exports by the clock and tells it on /metrics, /ready and /health", async () => {
  const config = await folderConfig(folder.path, database.url, {
    AUDIT_EXPORT_CRON: "* * * * * *",
  });
  const client = await connectTo(database.url);
  await addRows(client, 4);
  await client.end();

  const service = await startExporter(config, silentLog);
  const url = service.url ?? "";
  await until(async () => (await metric(url, "audit_export_rows_total")) === 4);

  const age =
    Date.now() / 1000 - (await metric(url, "audit_export_last_success_timestamp_seconds"));
  expect(Math.abs(age)).toBeLessThan(10);
  expect(await metric(url, "audit_export_failures_total")).toBe(0);
  expect(await metric(url, "audit_export_horizon_age_seconds")).toBe(0);
  expect((await fetch(`${url}/ready`)).status).toBe(200);
  expect(await (await fetch(`${url}/health`)).json()).toMatchObject({
    status: "healthy",
    checks: { database: { ok: true } },
  });
  await service.stop();
  expect(await readdir(join(folder.path, "out"))).toHaveLength(1);
});

test("a started service finishes at once what a dead process left behind", async () => {
  const config = await folderConfig(folder.path, database.url, { AUDIT_EXPORT_CRON: "0 0 1 1 *" });
  const client = await connectTo(database.url);
  await addRows(client, 2);
  await client.end();
  armFailpoint("export-built:throw");
  await expect(exportOnce(config, silentLog)).rejects.toThrow("failpoint");
  armFailpoint(undefined);

  const service = await startExporter(config, silentLog);

  await until(async () => (await metric(service.url ?? "", "audit_export_rows_total")) === 2);
  await service.stop();
});

test("without its database the service lives, is not ready, and still answers /metrics", async () => {
  const config = await folderConfig(folder.path, "postgres://127.0.0.1:1/none", {
    AUDIT_EXPORT_CRON: "0 0 1 1 *",
  });

  const service = await startExporter(config, silentLog);
  const url = service.url ?? "";

  expect((await fetch(`${url}/ready`)).status).toBe(503);
  expect((await fetch(`${url}/health`)).status).toBe(200);
  expect((await fetch(`${url}/metrics`)).status).toBe(200);
  await service.stop();
});

test("a key that cannot be used stops the start", async () => {
  const config = await folderConfig(folder.path, database.url, {
    AUDIT_ENC_MODE: "pgp",
    AUDIT_PGP_PUBLIC_KEY: "not a key",
  });

  await expect(startExporter(config, silentLog)).rejects.toThrow(/AUDIT_PGP_PUBLIC_KEY holds no/);
});

test("runs never overlap, failures are tried again, and stopping ends the run in progress", async () => {
  const seen = { running: 0, most: 0, runs: 0 };
  const schedule = scheduleExports(
    { cron: "* * * * * *", timeZone: "Etc/UTC", immediately: true },
    {
      run: async (signal) => {
        seen.runs += 1;
        seen.running += 1;
        seen.most = Math.max(seen.most, seen.running);
        if (seen.runs === 1) {
          seen.running -= 1;
          throw new Error("first one fails");
        }
        await systemClock.sleep(60_000, signal);
        seen.running -= 1;
      },
      clock: { sleep: async () => systemClock.sleep(10) },
      log: silentLog,
    },
  );
  await systemClock.sleep(2_200);
  const start = Date.now();

  await schedule.stop();

  expect(seen).toMatchObject({ runs: 2, most: 1, running: 0 });
  expect(Date.now() - start).toBeLessThan(1_000);
});

test("mock mode runs the whole pipeline without a database, and again under the next name", async () => {
  const config = await folderConfig(folder.path, "mock");
  const progress: Progress[] = [];

  const first = await exportOnce(config, silentLog, { onProgress: (told) => progress.push(told) });
  const second = await exportOnce(config, silentLog);

  expect(first.rows).toBeGreaterThan(3);
  expect(progress.map(({ stage }) => stage)).toEqual([
    "plan",
    "wrap",
    "build",
    "upload",
    "verify",
    "done",
  ]);
  expect(second.files[0]?.name).toMatch(/\.2\.csv\.envelope\.json$/);
});
