import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { postgresSource } from "../../exporter/adapters/postgres-source.ts";
import { exportOnce } from "../../exporter/main.ts";
import { systemClock } from "../../lib/clock.ts";
import { armFailpoint } from "../../lib/failpoint.ts";
import { silentLog } from "../../lib/log.ts";
import { openDatabase } from "../../lib/postgres.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startS3 } from "../fakes/s3.ts";
import { startSftpServer, type SftpServer } from "../servers/openssh.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, column, folderConfig, rowsOf, sftpVariables } from "./given.ts";

const run = promisify(execFile);

let trail: Trail;
let sftp: SftpServer;

beforeAll(async () => {
  sftp = await startSftpServer();
});
afterAll(async () => sftp.stop());
beforeEach(async () => {
  trail = await givenTrail();
});
afterEach(async () => {
  armFailpoint(undefined);
  delete process.env["AWS_ACCESS_KEY_ID"];
  delete process.env["AWS_SECRET_ACCESS_KEY"];
  await trail.remove();
});

async function crashAt(point: string, config: Parameters<typeof exportOnce>[0]): Promise<void> {
  armFailpoint(`${point}:throw`);
  await expect(exportOnce(config, silentLog)).rejects.toThrow(`failpoint ${point}`);
  armFailpoint(undefined);
}

test.each(["export-planned", "export-built", "export-uploaded"])(
  "a run that dies at %s is finished under the same name with the same rows",
  async (point) => {
    const config = await folderConfig(trail.folder, trail.url, sftpVariables(sftp));
    await addRows(trail.client, 3, "planned");
    await crashAt(point, config);
    await addRows(trail.client, 2, "later");

    const result = await exportOnce(config, silentLog);

    expect(result).toMatchObject({ outcome: "exported", resumed: true, rows: 3 });
    expect(result.files[0]?.name).toMatch(/^audit-\d{8}\.csv\.envelope\.json$/);
    expect(column(await rowsOf(trail.folder, result), "actor")).toEqual([
      "planned",
      "planned",
      "planned",
    ]);
    expect(await readdir(join(trail.folder, "out"))).toHaveLength(1);
    expect(await readdir(join(trail.folder, "work"))).toEqual([]);
    expect(await exportOnce(config, silentLog)).toMatchObject({ resumed: false, rows: 2 });
    for (const name of await readdir(sftp.folder)) await unlink(join(sftp.folder, name));
  },
);

test("adopts the file of a dead run whose work folder is gone, although new encryption gives other bytes", async () => {
  const config = await folderConfig(trail.folder, trail.url, sftpVariables(sftp));
  await addRows(trail.client, 3);
  await crashAt("export-uploaded", config);
  await trail.client.query("DELETE FROM audit_export_receipts"); // died before it could write them down
  for (const name of await readdir(join(trail.folder, "work"))) {
    await unlink(join(trail.folder, "work", name));
  }

  const result = await exportOnce(config, silentLog);

  expect(result.receipts.map(({ adopted }) => adopted)).toEqual([true, true]);
  expect(result.receipts[0]?.sha256).not.toBe(result.files[0]?.sha256);
  expect(await rowsOf(trail.folder, result)).toHaveLength(4);
  for (const name of await readdir(sftp.folder)) await unlink(join(sftp.folder, name));
});

test("never overwrites a foreign file: a new export takes another name, a planned one waits for a person", async () => {
  const config = await folderConfig(trail.folder, trail.url);
  await addRows(trail.client, 1);
  await crashAt("export-planned", config);
  const { rows } = await trail.client.query<{ name: string }>(
    "SELECT file_name AS name FROM audit_exports",
  );
  const path = join(trail.folder, "out", `${rows[0]?.name ?? ""}.envelope.json`);
  await mkdir(join(trail.folder, "out"));
  await writeFile(path, "somebody else's");

  await expect(exportOnce(config, silentLog)).rejects.toThrow(/exists already with other content/);
  expect(await readFile(path, "utf8")).toBe("somebody else's");
  await trail.client.query("TRUNCATE audit_exports CASCADE");
  const result = await exportOnce(config, silentLog);

  expect(result.files[0]?.name).toMatch(/\.2\.csv\.envelope\.json$/);
});

test("of two exports at once one works and the other says busy", async () => {
  const config = await folderConfig(trail.folder, trail.url, sftpVariables(sftp));
  await addRows(trail.client, 20_000);

  const outcomes = await Promise.all([
    exportOnce(config, silentLog),
    exportOnce(config, silentLog),
  ]);

  expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(["busy", "exported"]);
  for (const name of await readdir(sftp.folder)) await unlink(join(sftp.folder, name));
});

test("one destination that fails does not keep the other from getting the file; the next run gives it to the first only", async () => {
  const broken = { ...sftpVariables(sftp), SFTP_REMOTE_DIR: "missing" };
  await addRows(trail.client, 2);

  const config = await folderConfig(trail.folder, trail.url, broken);
  await expect(exportOnce(config, silentLog)).rejects.toThrow(/^sftp: /);
  const before = await readdir(join(trail.folder, "out"));
  await mkdir(join(sftp.folder, "missing"), { mode: 0o777 });
  await run("chmod", ["777", join(sftp.folder, "missing")]);
  const result = await exportOnce(config, silentLog);

  expect(before).toHaveLength(1);
  expect(result).toMatchObject({ resumed: true, rows: 2 });
  expect(result.receipts.map(({ adopted }) => adopted)).toEqual([false, false]);
  expect(await readdir(join(sftp.folder, "missing"))).toEqual(before);
});

test("a destination that is down when the export is planned does not keep the others from their files, and gets its own when it is back", async () => {
  const s3 = await startS3("audit");
  const stopped = s3.url;
  await s3.stop();
  const bucket = {
    AUDIT_S3_BUCKET: "audit",
    AUDIT_S3_REGION: "eu-central-1",
    AUDIT_S3_PATH_STYLE: "true",
  };
  process.env["AWS_ACCESS_KEY_ID"] = s3.key.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = s3.key.secretAccessKey;
  const config = await folderConfig(trail.folder, trail.url, {
    ...bucket,
    AUDIT_S3_ENDPOINT: stopped,
  });
  await addRows(trail.client, 3);

  await expect(exportOnce(config, silentLog)).rejects.toThrow(/^s3: /);

  const [name = ""] = await readdir(join(trail.folder, "out"));
  expect(name).toMatch(/^audit-/);
  const back = await startS3("audit");
  process.env["AWS_ACCESS_KEY_ID"] = back.key.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = back.key.secretAccessKey;
  const result = await exportOnce({ ...config, s3Endpoint: back.url }, silentLog);
  expect(result).toMatchObject({ outcome: "exported", resumed: true, rows: 3 });
  expect([...back.objects.keys()]).toEqual([name]);
  await back.stop();
});

test("rows that changed between two attempts stop the export", async () => {
  const config = await folderConfig(trail.folder, trail.url);
  await addRows(trail.client, 2);
  await crashAt("export-built", config);
  for (const name of await readdir(join(trail.folder, "work"))) {
    await unlink(join(trail.folder, "work", name));
  }
  await trail.client.query("ALTER TABLE runbooks_audit DISABLE TRIGGER ALL");
  await trail.client.query("UPDATE runbooks_audit SET actor = 'forged' WHERE run_id = 'run-1'");

  await expect(exportOnce(config, silentLog)).rejects.toThrow(
    /its rows are not those of its first/,
  );
});

test("a database restored into another cluster is noticed", async () => {
  const config = await folderConfig(trail.folder, trail.url);
  await addRows(trail.client, 1);
  await exportOnce(config, silentLog);
  await trail.client.query("UPDATE audit_exports SET system_identifier = '42'");
  await addRows(trail.client, 1);

  await expect(exportOnce(config, silentLog)).rejects.toThrow(/restored from another cluster/);
});

test("a COPY is not disturbed by the driver's read timeout, during it or after", async () => {
  const clock = systemClock;
  await addRows(trail.client, 1);
  // 100 ms for statements means that the driver gives up after 1.1 s.
  const options = { url: trail.url, applicationName: "test", statementTimeoutMs: 100 };
  const open = openDatabase(options, silentLog);
  const source = postgresSource(open, { clock, log: silentLog });

  const rows = await source.exclusively(async (session) => {
    const range = await session.newRange({ evenIfEmpty: false });
    if (range === undefined) throw new Error("no rows");
    const plan = await session.commitPlan(range, {
      name: { clear: "a", stored: "a" },
      formula: "off",
      partBytes: 1_000_000,
    });
    const copied = session.read(plan);
    await copied.batches.toArray();
    await clock.sleep(1_500);
    return copied.countRows();
  });

  expect(rows).toBe(1);
  await open.close();
});

const LINES = { AUDIT_JSONL: "on", AUDIT_COMPRESS: "zstd" };

test.each<readonly [string, Readonly<Record<string, string>>, RegExp]>([
  ["its database session is ended", {}, /terminat|Connection|closed/i],
  ["it is stopped", {}, /abort/i],
  ["the session that reads beside it is ended", LINES, /terminat|Connection|closed/i],
  ["it is stopped in its JSON lines", LINES, /abort/i],
])(
  "an export that is in the middle of its rows when %s ends soon and is resumed",
  async (how, more, message) => {
    const config = await folderConfig(trail.folder, trail.url, more);
    // So many that the JSON lines are far from their end when the database hears of it, on a busy machine too.
    const count = more === LINES ? 300_000 : 100_000;
    await addRows(trail.client, count);
    const stopping = new AbortController();
    const interrupt = async () => {
      if (how.startsWith("it is stopped")) stopping.abort();
      else {
        const end =
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%' AND state = 'active'";
        // The COPY beside begins with the JSON lines, perhaps a moment later.
        await waitUntil(
          "a session to end",
          async () => (await trail.client.query(end)).rowCount !== 0,
        );
      }
    };
    let interrupted: Promise<void> | undefined;

    const exporting = exportOnce(config, silentLog, {
      onProgress: ({ bytes, rows }) => {
        // The CSV of an archive is whole before its JSON lines begin.
        if (bytes > 0 && (more === LINES ? rows === count : true)) interrupted ??= interrupt();
      },
      signal: stopping.signal,
    });

    await expect(exporting).rejects.toThrow(message);
    await interrupted;
    expect(await readdir(join(trail.folder, "work"))).toEqual([]);
    // The server frees the lock when it notices that we are gone, not when we leave.
    const locks =
      "SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1181054068 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    for (let n = 0; n < 40 && (await trail.client.query(locks)).rowCount !== 0; n++) {
      await systemClock.sleep(50);
    }
    expect(await exportOnce(config, silentLog)).toMatchObject({ resumed: true, rows: count });
  },
);
