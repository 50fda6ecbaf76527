import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import {
  drillExports,
  exportOnce,
  readExporterConfig,
  retainExports,
} from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { startAzureBlob } from "../fakes/azure-blob.ts";
import { startGcs, type FakeGcs } from "../fakes/gcs.ts";
import { startS3, type FakeS3 } from "../fakes/s3.ts";
import { startAzurite, type Azurite } from "../servers/azurite.ts";
import { givenExportOf } from "./given-aged.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, localKeyFile } from "./given.ts";

let s3: FakeS3;
let gcs: FakeGcs;
let azure: Azurite;
let trail: Trail;

beforeAll(async () => {
  azure = await startAzurite();
  const { BlobServiceClient } = await import("@azure/storage-blob");
  await BlobServiceClient.fromConnectionString(azure.connectionString()).createContainer("audit");
}, 60_000);
afterAll(async () => {
  await azure.stop();
  delete process.env["AWS_ACCESS_KEY_ID"];
  delete process.env["AWS_SECRET_ACCESS_KEY"];
});
beforeEach(async () => {
  s3 = await startS3("audit");
  gcs = await startGcs("audit");
  // The SDK's own chain reads these; nothing of ours does.
  process.env["AWS_ACCESS_KEY_ID"] = s3.key.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = s3.key.secretAccessKey;
  trail = await givenTrail();
});
afterEach(async () => {
  await trail.remove();
  await s3.stop();
  await gcs.stop();
});

const variables = async (more: Readonly<Record<string, string>> = {}) => ({
  AIOPS_DATABASE_URL: trail.url,
  AUDIT_WORK_DIR: `${trail.folder}/work`,
  AUDIT_ENC_MODE: "kms",
  AUDIT_LOCAL_KEY_FILE: await localKeyFile(trail.folder),
  AUDIT_S3_BUCKET: "audit",
  AUDIT_S3_PREFIX: "shop/trail",
  AUDIT_S3_REGION: "eu-central-1",
  AUDIT_S3_ENDPOINT: s3.url,
  AUDIT_GCS_BUCKET: "audit",
  AUDIT_GCS_PREFIX: "shop",
  AUDIT_GCS_ENDPOINT: gcs.url,
  AUDIT_AZURE_BUCKET: "audit",
  AUDIT_AZURE_PREFIX: trail.folder.split("-").at(-1) ?? "x",
  AUDIT_AZURE_CONNECTION_STRING: azure.connectionString(),
  ...more,
});

test("an export goes to three clouds, a drill opens it from each, and retention takes the old ones away", async () => {
  const config = readExporterConfig(
    await variables({ AUDIT_S3_RETENTION_DAYS: "30", AUDIT_AZURE_RETENTION_DAYS: "30" }),
  );
  const names: string[] = [];
  for (const days of [90, 80, 20, 10, 1]) {
    const { files, receipts } = await givenExportOf(days, trail, config);
    names.push(files[0]?.name ?? "");
    expect(receipts.map(({ destination, verifiedBy }) => [destination, verifiedBy])).toEqual([
      ["s3", "server-hash(sha256)"],
      ["gcs", "server-hash(crc32c)"],
      ["azure", "server-hash(md5)"],
    ]);
  }

  const drills = await drillExports(config, silentLog);
  const retained = await retainExports(config, false, silentLog);

  expect(drills.map(({ destination, problem }) => [destination, problem])).toEqual([
    ["s3", undefined],
    ["gcs", undefined],
    ["azure", undefined],
  ]);
  expect(retained).toEqual([
    { destination: "s3", deleted: names.slice(0, 2), kept: 3, held: [], problem: undefined },
    { destination: "azure", deleted: names.slice(0, 2), kept: 3, held: [], problem: undefined },
  ]);
  expect([...s3.objects.keys()]).toEqual(names.slice(2).map((name) => `shop/trail/${name}`));
  expect([...gcs.objects.keys()]).toEqual(names.map((name) => `shop/${name}`));
}, 60_000);

test("a lock is asked for with the object itself, for so many days", async () => {
  const config = readExporterConfig(
    await variables({ AUDIT_S3_LOCK_DAYS: "10", AUDIT_GCS_LOCK_DAYS: "20" }),
  );
  await addRows(trail.client, 1);
  const start = Date.now();

  await exportOnce(config, silentLog);

  const [s3Mode = "", s3Until = ""] = ([...s3.objects.values()][0]?.lock ?? "").split(" ");
  const [gcsObject] = [...gcs.objects.values()];
  const days = (until = "") => Math.round((Date.parse(until) - start) / 86_400_000);
  expect([s3Mode, days(s3Until)]).toEqual(["COMPLIANCE", 10]);
  expect([gcsObject?.retention?.mode, days(gcsObject?.retention?.retainUntilTime)]).toEqual([
    "Locked",
    20,
  ]);
});

test("Azure's emulator does not know locks: the error names the setting, and nothing is there", async () => {
  const given = await variables({
    AUDIT_AZURE_LOCK_DAYS: "30",
    AUDIT_S3_BUCKET: "",
    AUDIT_GCS_BUCKET: "",
  });
  await addRows(trail.client, 1);

  const failing = exportOnce(readExporterConfig(given), silentLog);

  await expect(failing).rejects.toThrow(
    /^azure: .*took the blob without its immutability policy \(AUDIT_AZURE_LOCK_DAYS asks for a lock/,
  );
  const without = readExporterConfig({ ...given, AUDIT_AZURE_LOCK_DAYS: "" });
  const { receipts } = await exportOnce(without, silentLog);
  expect(receipts.map(({ adopted }) => adopted)).toEqual([false]);
}, 60_000);

test("what a cloud has locked stays, is told with its reason, and keeps nothing else from being deleted", async () => {
  const locking = await startAzureBlob();
  try {
    const given = await variables({
      AUDIT_AZURE_CONNECTION_STRING: locking.connectionString,
      AUDIT_S3_RETENTION_DAYS: "30",
      AUDIT_GCS_RETENTION_DAYS: "30",
      AUDIT_AZURE_RETENTION_DAYS: "30",
    });
    const locked = Object.fromEntries(
      ["S3", "GCS", "AZURE"].map((cloud) => [`AUDIT_${cloud}_LOCK_DAYS`, "29"]),
    );
    const names: string[] = [];
    for (const [days, more] of [
      [90, locked],
      [80, {}],
      [3, {}],
      [2, {}],
      [1, {}],
    ] as const) {
      const config = readExporterConfig({ ...given, ...more });
      const { files } = await givenExportOf(days, trail, config);
      names.push(files[0]?.name ?? "");
    }
    const [first = "", second = ""] = names;
    const azureLock = [...locking.blobs.values()][0]?.lock;

    const results = await retainExports(readExporterConfig(given), false, silentLog);

    expect(azureLock?.mode).toBe("Locked");
    expect(Math.round((Date.parse(azureLock?.until ?? "") - Date.now()) / 86_400_000)).toBe(29);
    expect(
      results.map(({ destination, deleted, held }) => [
        destination,
        deleted,
        held.map((h) => h.name),
      ]),
    ).toEqual([
      ["s3", [second], [first]],
      ["gcs", [second], [first]],
      ["azure", [second], [first]],
    ]);
    const reasons = results.map(({ held }) => held[0]?.reason ?? "");
    expect(reasons[0]).toMatch(/locked until \d{4}-\d\d-\d\dT.* \(COMPLIANCE\)/);
    expect(reasons[1]).toMatch(/403.*object retention/);
    expect(reasons[2]).toMatch(/BlobImmutableDueToPolicy/);
    const left = [s3.objects, gcs.objects, locking.blobs].map((objects) => [...objects.keys()]);
    for (const keys of left) {
      expect(keys.map((key) => key.split("/").at(-1))).toEqual([first, ...names.slice(2)]);
    }
    const { rows } = await trail.client.query<{ target: string; name: string }>(
      "SELECT target, detail->'exports'->0->>'name' AS name FROM runbooks_audit WHERE event = 'export_held' ORDER BY id",
    );
    expect(rows).toEqual(["s3", "gcs", "azure"].map((target) => ({ target, name: first })));
  } finally {
    await locking.stop();
  }
}, 60_000);

test("a cloud that is down leaves the export open; the next run gives it what it lacks and the others nothing twice", async () => {
  const config = readExporterConfig(await variables());
  await addRows(trail.client, 3);
  gcs.setFault({ kind: "status", status: 500, code: "InternalError" });
  await expect(exportOnce(config, silentLog)).rejects.toThrow(/^gcs: /);
  gcs.setFault({ kind: "none" });

  const { rows, files, receipts } = await exportOnce(config, silentLog);

  expect(rows).toBe(3);
  expect(receipts).toHaveLength(3);
  expect([...s3.objects.keys()]).toEqual(files.map(({ name }) => `shop/trail/${name}`));
}, 60_000);

test.each([
  [{ AUDIT_S3_LOCK_DAYS: "30", AUDIT_S3_RETENTION_DAYS: "30" }, /AUDIT_S3_LOCK_DAYS: must be less/],
  [{ AUDIT_AZURE_URL: "https://a.blob.core.windows.net" }, /AUDIT_AZURE_URL, .*: set one of them/],
  [{ AUDIT_GCS_ENDPOINT: "http://example.com" }, /AUDIT_GCS_ENDPOINT: must be on this machine/],
  [{ AUDIT_S3_PREFIX: "../x y" }, /AUDIT_S3_PREFIX: must be names/],
  [{ AIOPS_DATABASE_URL: "mock", AUDIT_S3_ENDPOINT: "" }, /AUDIT_S3_BUCKET: demo rows stay/],
])("%j is refused", async (more, problem) => {
  const given = await variables(more);

  expect(() => readExporterConfig(given)).toThrow(problem);
});
