import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import {
  backUpDatabase,
  findBackups,
  readExporterConfig,
  restoreDatabase,
  verifyFiles,
  type BackupResult,
  type ExporterConfig,
} from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { Secret } from "../../lib/secret.ts";
import { startS3, type FakeS3 } from "../fakes/s3.ts";
import { startSftpServer, type SftpServer } from "../servers/openssh.ts";
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenKeyFiles } from "./given-backups.ts";
import { addRows, connectTo, localKeyFile, sftpVariables, tempFolder } from "./given.ts";

const ROWS = 300;

let folder: Awaited<ReturnType<typeof tempFolder>>;
let database: TestDatabase;
let s3: FakeS3;
let sftp: SftpServer;
let variables: Readonly<Record<string, string>>;
let key: Awaited<ReturnType<typeof givenKeyFiles>>;
let taken: BackupResult;
const targets: TestDatabase[] = [];

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTestDatabase();
  s3 = await startS3("vault");
  sftp = await startSftpServer();
  // The SDK's own chain reads these; nothing of ours does.
  process.env["AWS_ACCESS_KEY_ID"] = s3.key.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = s3.key.secretAccessKey;
  key = await givenKeyFiles(folder.path, "signer");
  variables = {
    AIOPS_DATABASE_URL: database.url,
    AUDIT_WORK_DIR: join(folder.path, "work"),
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: await localKeyFile(folder.path),
    AUDIT_SIGNING_KEY_FILE: key.signing,
    AUDIT_S3_BUCKET: "vault",
    AUDIT_S3_PREFIX: "shop",
    AUDIT_S3_REGION: "eu-central-1",
    AUDIT_S3_ENDPOINT: s3.url,
    ...sftpVariables(sftp),
  };
  const client = await connectTo(database.url);
  await addRows(client, ROWS);
  await client.end();
  taken = await backUpDatabase(config(), {}, silentLog);
}, 60_000);
afterEach(async () => {
  for (const target of targets.splice(0)) await target.drop();
});
afterAll(async () => {
  delete process.env["AWS_ACCESS_KEY_ID"];
  delete process.env["AWS_SECRET_ACCESS_KEY"];
  await sftp.stop();
  await s3.stop();
  await database.drop();
  await folder.remove();
});

function config(more: Readonly<Record<string, string>> = {}): ExporterConfig {
  return readExporterConfig({ ...variables, ...more });
}

async function restoreFrom(destination: string, publicKeyFile: string, backup = "latest") {
  const target = await createEmptyDatabase();
  targets.push(target);
  const request = {
    backup,
    publicKeyFile,
    from: { config: config(), destination },
    localKeyFile: variables["AUDIT_LOCAL_KEY_FILE"],
  };
  const said = await restoreDatabase(request, new Secret(target.url)).then(
    ({ name }) => name,
    String,
  );
  const client = await connectTo(target.url);
  const { rows } = await client.query<{ there: string | null }>(
    "SELECT to_regclass('runbooks_audit')::text AS there",
  );
  const isThere = typeof rows[0]?.there === "string";
  const counted = isThere
    ? await client.query<{ n: number }>("SELECT count(*)::int AS n FROM runbooks_audit")
    : undefined;
  await client.end();
  return { said, rows: counted?.rows[0]?.n };
}

test("a backup is at both places, sealed and signed, and nothing of it is left here", async () => {
  const files = [...taken.parts.map(({ name }) => name), `${taken.name}.manifest.note`];

  expect(taken).toMatchObject({ at: ["sftp", "s3"], notAt: [], signedBy: "fettle-audit" });
  expect(await readdir(sftp.folder)).toEqual(files);
  expect([...s3.objects.keys()]).toEqual(files.map((name) => `shop/${name}`));
  for (const { content } of s3.objects.values()) expect(content.includes("PGDMP")).toBe(false);
  expect(await readdir(join(folder.path, "work"))).toEqual([]);
  expect(await findBackups(config())).toEqual([
    { destination: "sftp", backups: [taken.name] },
    { destination: "s3", backups: [taken.name] },
  ]);
});

test.each(["sftp", "s3"])(
  "it is restored from %s, also after the signer's key was rotated",
  async (place) => {
    const next = await givenKeyFiles(folder.path, "next");
    const both = join(folder.path, "both.pub");
    await writeFile(both, next.pem + key.pem);

    expect(await restoreFrom(place, both)).toEqual({ said: taken.name, rows: ROWS });
  },
);

test("a backup that somebody else signed, or that was cut off, leaves the target empty", async () => {
  const other = await givenKeyFiles(folder.path, "other");
  const [part = ""] = taken.parts.map(({ name }) => name);
  const path = join(sftp.folder, part);
  const whole = await readFile(path);

  const foreign = await restoreFrom("s3", other.pub);
  await truncate(path, whole.length - 1);
  const cut = await restoreFrom("sftp", key.pub, taken.name);
  await writeFile(path, whole);

  expect(foreign).toEqual({ said: "NoteError: no signature of the given keys", rows: undefined });
  expect(cut.said).toContain(`${part}: is not what was written`);
  expect(cut.rows).toBeUndefined();
});

test("exports in the same folder are still verified by their own manifests alone", async () => {
  const report = await verifyFiles({ files: [sftp.folder], publicKeyFile: key.pub });

  expect(report.problems).toEqual(["no manifest that is signed by the given key"]);
});

test("a place that is down costs nobody else the backup, and older ones stay where it is", async () => {
  s3.setFault({ kind: "status", status: 403, code: "AccessDenied" });

  const second = await backUpDatabase(config(), { keep: 1 }, silentLog);

  s3.setFault({ kind: "none" });
  expect(second.at).toEqual(["sftp"]);
  expect(second.notAt).toEqual([expect.stringMatching(/^s3: /)]);
  expect(second.removed).toEqual([`sftp: ${taken.name}`]);
  expect(await findBackups(config())).toEqual([
    { destination: "sftp", backups: [second.name] },
    { destination: "s3", backups: [taken.name] },
  ]);
});
