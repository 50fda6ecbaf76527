import { readdir, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import {
  drillExports,
  exportOnce,
  retainExports,
  startExporter,
  type ExporterConfig,
} from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { startSftpServer, type SftpServer } from "../servers/openssh.ts";
import { givenExportOf } from "./given-aged.ts";
import { givenSigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, folderConfig, sftpVariables } from "./given.ts";

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
  for (const name of await readdir(sftp.folder)) await unlink(join(sftp.folder, name));
  await trail.remove();
});

const out = (name = "") => join(trail.folder, "out", name);

/** Exports of one row each, the first the oldest, so many days old. */
async function exportsOfDays(config: ExporterConfig, ages: readonly number[]): Promise<string[]> {
  const names: string[] = [];
  for (const days of ages) {
    const { files } = await givenExportOf(days, trail, config);
    names.push(files[0]?.name ?? "");
  }
  return names;
}

test("retention takes away what is old and ours, after a dry run that touches nothing, and leaves a row in the audit trail", async () => {
  const config = await folderConfig(trail.folder, trail.url, {
    ...sftpVariables(sftp),
    AUDIT_EXPORT_DIR_RETENTION_DAYS: "30",
  });
  const names = await exportsOfDays(config, [90, 60, 40, 35, 20, 1]);
  await writeFile(out("audit-20200101.csv"), "not ours, though its name looks so");

  const dry = await retainExports(config, true, silentLog);
  expect(await readdir(out())).toHaveLength(7);
  const done = await retainExports(config, false, silentLog);

  const expected = [
    { destination: "folder", deleted: names.slice(0, 3), kept: 3, held: [], problem: undefined },
  ];
  expect([dry, done]).toEqual([expected, expected]);
  expect((await readdir(out())).toSorted()).toEqual(
    [...names.slice(3), "audit-20200101.csv"].toSorted(),
  );
  expect(await readdir(sftp.folder)).toHaveLength(6); // it has no retention
  const { rows } = await trail.client.query<{ target: string; files: string[] }>(
    "SELECT target, detail->'files' AS files FROM runbooks_audit WHERE event = 'export_deleted' ORDER BY id",
  );
  expect(rows).toEqual(names.slice(0, 3).map((name) => ({ target: "folder", files: [name] })));
  expect(await retainExports(config, false, silentLog)).toEqual([
    { destination: "folder", deleted: [], kept: 3, held: [], problem: undefined },
  ]);
});

test("the newest three exports stay, however old they are", async () => {
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_EXPORT_DIR_RETENTION_DAYS: "1",
  });
  const names = await exportsOfDays(config, [400, 300, 200, 100]);

  await retainExports(config, false, silentLog);

  expect((await readdir(out())).toSorted()).toEqual(names.slice(1).toSorted());
});

test("a drill opens an earlier file of each destination with each key, and /metrics says when", async () => {
  const { publicKey, privateKey } = await generateKey({
    userIDs: [{ name: "A" }],
    format: "object",
  });
  await writeFile(join(trail.folder, "private.asc"), privateKey.armor());
  const config = await folderConfig(trail.folder, trail.url, {
    ...sftpVariables(sftp),
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEY: publicKey.armor(),
    AUDIT_DRILL_PGP_PRIVATE_KEY_FILE: join(trail.folder, "private.asc"),
    AUDIT_EXPORT_CRON: "0 0 1 1 *",
  });
  await addRows(trail.client, 2);
  const { files } = await exportOnce(config, silentLog);
  const name = files[0]?.name;
  const fingerprint = publicKey.getFingerprint().toUpperCase();

  const results = await drillExports(config, silentLog);

  expect(results).toEqual(
    ["folder", "sftp"].flatMap((destination) =>
      ["local", fingerprint].map((recipient) => ({
        destination,
        recipient,
        name,
        problem: undefined,
      })),
    ),
  );
  expect(await readdir(join(trail.folder, "work"))).toEqual([]);
  const service = await startExporter(config, silentLog);
  const metrics = await (await fetch(`${service.url ?? ""}/metrics`)).text();
  await service.stop();
  for (const recipient of ["local", fingerprint]) {
    const at = new RegExp(
      `^audit_decrypt_drill_last_success_timestamp_seconds\\{.*recipient="${recipient}".*\\} (\\S+)$`,
      "m",
    ).exec(metrics)?.[1];
    expect(Math.abs(Date.now() / 1000 - Number(at))).toBeLessThan(60);
  }
});

test("with a signed manifest a drill computes its tree from the rows again, part by part", async () => {
  const { file: sign } = await givenSigningKey(trail.folder);
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_SIGNING_KEY_FILE: sign,
    AUDIT_MAX_PART_MB: "1",
    AUDIT_COMPRESS: "zstd",
  });
  await addRows(trail.client, 5_000);
  const { files } = await exportOnce(config, silentLog);
  const parts = files.filter(({ name }) => name.endsWith(".envelope.json")).map(({ name }) => name);
  expect(parts).toHaveLength(2);
  const problems = async () => {
    const found = new Map<string, string | undefined>();
    while (found.size < 2) {
      const [result] = await drillExports(config, silentLog);
      found.set(result?.name ?? "", result?.problem);
    }
    return parts.map((name) => found.get(name));
  };
  expect(await problems()).toEqual([undefined, undefined]);

  // What was recorded is changed in place of the rows: the two can only be told apart by computing.
  await trail.client.query("UPDATE audit_manifests SET note = replace(note, $1, $2)", [
    /"root": "(.)/.exec(await note())?.[0],
    `"root": "${/"root": "0/.test(await note()) ? "1" : "0"}`,
  ]);
  expect(await problems()).toEqual([
    undefined,
    "the root of its rows is not the one that the manifest names",
  ]);
  await trail.client.query(
    "UPDATE audit_export_parts SET tree_edge[1] = translate(tree_edge[1], '0123', '1230') WHERE part = 1",
  );
  const wrong = "its rows do not give the tree that was recorded";
  expect(await problems()).toEqual([wrong, wrong]);
});

async function note(): Promise<string> {
  const { rows } = await trail.client.query<{ note: string }>("SELECT note FROM audit_manifests");
  return rows[0]?.note ?? "";
}

test("a drill tells a lost key from a changed and a missing file, and records no success", async () => {
  const config = await folderConfig(trail.folder, trail.url);
  await addRows(trail.client, 2);
  const { files } = await exportOnce(config, silentLog);
  const path = out(files[0]?.name);
  const original = await readFile(path);
  const problem = async (of: ExporterConfig) => (await drillExports(of, silentLog))[0]?.problem;

  const kek = await readFile(join(trail.folder, "kek"));
  expect(await problem(await folderConfig(trail.folder, trail.url))).toMatch(/wrong key/); // it makes another one
  await writeFile(join(trail.folder, "kek"), kek, { mode: 0o600 });
  await writeFile(path, Buffer.concat([original, Buffer.from(" ")]));
  expect(await problem(config)).toBe("holds other bytes than were stored");
  await unlink(path);
  expect(await problem(config)).toMatch(/^folder: could not read/);
  expect((await trail.client.query("SELECT FROM audit_drills")).rowCount).toBe(0);
  await writeFile(path, original);
  expect(await problem(config)).toBeUndefined();
});
