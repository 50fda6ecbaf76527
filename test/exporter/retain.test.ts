import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { postgresArchive } from "../../exporter/adapters/postgres-archive.ts";
import { exportOnce, readExporterConfig, retainExports } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { openDatabase } from "../../lib/postgres.ts";
import { startS3, type FakeS3 } from "../fakes/s3.ts";
import { givenSigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, folderConfig, localKeyFile } from "./given.ts";

let s3: FakeS3;
let trail: Trail;

beforeAll(async () => {
  s3 = await startS3("audit");
  // The SDK's own chain reads these; nothing of ours does.
  process.env["AWS_ACCESS_KEY_ID"] = s3.key.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = s3.key.secretAccessKey;
  trail = await givenTrail();
});
afterAll(async () => {
  delete process.env["AWS_ACCESS_KEY_ID"];
  delete process.env["AWS_SECRET_ACCESS_KEY"];
  await trail.remove();
  await s3.stop();
});

async function auditRows<T>(event: string): Promise<readonly T[]> {
  const sql = "SELECT detail FROM runbooks_audit WHERE event = $1 ORDER BY id";
  const { rows } = await trail.client.query<{ detail: T }>(sql, [event]);
  return rows.map(({ detail }) => detail);
}

test("of an export whose second file is held the first one is recorded as gone, and the held one is named", async () => {
  const config = readExporterConfig({
    AIOPS_DATABASE_URL: trail.url,
    AUDIT_WORK_DIR: `${trail.folder}/work`,
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: await localKeyFile(trail.folder),
    AUDIT_MAX_PART_MB: "1",
    AUDIT_S3_BUCKET: "audit",
    AUDIT_S3_REGION: "eu-central-1",
    AUDIT_S3_ENDPOINT: s3.url,
    AUDIT_S3_RETENTION_DAYS: "30",
  });
  await addRows(trail.client, 5_000);
  const { exportId = "", files } = await exportOnce(config, silentLog);
  const [first = "", second = ""] = files.map(({ name }) => name);
  for (let n = 0; n < 3; n++) {
    await addRows(trail.client, 1);
    await exportOnce(config, silentLog);
  }
  const sql = "UPDATE audit_exports SET cutoff = now() - interval '99 days' WHERE export_id = $1";
  await trail.client.query(sql, [exportId]);
  s3.setLock(second, "COMPLIANCE 2099-01-01T00:00:00.000Z");

  const held = await retainExports(config, false, silentLog);
  s3.setLock(second, undefined);
  const free = await retainExports(config, false, silentLog);

  const about = { destination: "s3", problem: undefined };
  const reason = expect.stringContaining("locked until 2099-01-01") as unknown;
  expect(files).toHaveLength(2);
  expect(held).toEqual([
    { ...about, deleted: [first], kept: 3, held: [{ exportId, name: second, reason }] },
  ]);
  expect(free).toEqual([{ ...about, deleted: [second], kept: 3, held: [] }]);
  expect(await auditRows("export_deleted")).toEqual([
    { export_id: exportId, files: [first] },
    { export_id: exportId, files: [second] },
  ]);
  expect(await auditRows("export_held")).toEqual([
    { count: 1, exports: [{ export_id: exportId, name: second, reason }] },
  ]);
}, 60_000);

test("runs without new rows leave manifests only, and do not push the last exports with rows out of those that stay", async () => {
  const { file: sign } = await givenSigningKey(trail.folder);
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_SIGNING_KEY_FILE: sign,
    AUDIT_EXPORT_DIR_RETENTION_DAYS: "30",
  });
  await addRows(trail.client, 1);
  const { files } = await exportOnce(config, silentLog);
  for (let n = 0; n < 3; n++) await exportOnce(config, silentLog);
  await trail.client.query("UPDATE audit_exports SET cutoff = now() - interval '99 days'");
  const before = await readdir(join(trail.folder, "out"));

  const [retained] = await retainExports(config, false, silentLog);

  expect(before).toHaveLength(files.length + 3);
  expect(retained).toMatchObject({ deleted: [], kept: 4 });
  expect(await readdir(join(trail.folder, "out"))).toEqual(before);
});

test("however many exports are held, the row in the audit trail stays small", async () => {
  const pool = openDatabase({ url: trail.url, applicationName: "test", max: 1 }, silentLog);
  const held = Array.from({ length: 500 }, (_, n) => ({
    exportId: `00000000-0000-0000-0000-${String(n).padStart(12, "0")}`,
    name: `audit-${n}`,
    reason: "it says no",
  }));

  await postgresArchive(pool).recordHeld("sftp", held);
  await pool.close();

  const row = (await auditRows<{ count: number; exports: { name: string }[] }>("export_held")).at(
    -1,
  );
  expect(row?.count).toBe(500);
  expect(row?.exports.map(({ name }) => name)).toEqual(held.slice(0, 20).map(({ name }) => name));
});
