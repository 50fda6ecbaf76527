import { mkdir, readdir, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import {
  drillExports,
  exportOnce,
  readExporterConfig,
  retainExports,
  verifyFiles,
} from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { startSftpServer, type SftpServer } from "../servers/openssh.ts";
import { givenSigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, folderConfig, parseCsv, sftpVariables } from "./given.ts";

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
const undated = (names: readonly string[]) =>
  names.map((name) => name.replace(/\d{8}/, "D")).toSorted();

/** Everything is kept: two recipients, an envelope, a signed manifest, and a second destination. */
async function keeping(more: Readonly<Record<string, string>> = {}) {
  const { file: sign, publicKeyFile } = await givenSigningKey(trail.folder);
  const people = await Promise.all(
    ["Ana", "Ivo"].map(async (name) => generateKey({ userIDs: [{ name }] })),
  );
  const config = await folderConfig(trail.folder, trail.url, {
    ...sftpVariables(sftp),
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEYS: people.map((person) => person.publicKey).join("\n"),
    AUDIT_SIGNING_KEY_FILE: sign,
    AUDIT_PGP_DELETE_PLAINTEXT: "false",
    AUDIT_KMS_DELETE_ORIGINAL: "false",
    AUDIT_MAX_PART_MB: "1",
    ...more,
  });
  return { config, publicKeyFile };
}

test("on request the plain CSV and what went into the envelope stay beside it, on this machine only, and the manifest proves them", async () => {
  const { config, publicKeyFile } = await keeping();
  await addRows(trail.client, 5_000, "kept");

  const { files } = await exportOnce(config, silentLog);

  const kept = (await readdir(out())).filter((name) => !/envelope\.json$|note$/.test(name));
  expect(undated(kept).map((name) => name.replace(/[0-9A-F]{16}/, "K"))).toEqual(
    ["audit-D.csv", "audit-D.part002.csv"]
      .flatMap((name) => [name, `${name}.K.gpg`, `${name}.K.gpg`])
      .toSorted(),
  );
  for (const name of await readdir(out())) expect((await stat(out(name))).mode & 0o777).toBe(0o600);
  const sent = await readdir(sftp.folder);
  expect(sent.toSorted()).toEqual(
    files
      .map(({ name }) => name)
      .filter((name) => !kept.includes(name))
      .toSorted(),
  );
  expect(await readdir(join(trail.folder, "work"))).toEqual([]);
  const plain = kept.filter((name) => name.endsWith(".csv")).toSorted();
  const texts = await Promise.all(plain.map(async (name) => readFile(out(name), "utf8")));
  expect(texts.flatMap((text) => parseCsv(text).slice(1))).toHaveLength(5_000);

  const atHome = await verifyFiles({ files: [out()], publicKeyFile });
  const away = await verifyFiles({ files: [sftp.folder], publicKeyFile });
  expect([atHome.problems, away.problems]).toEqual([[], []]);
  expect(atHome.manifests[0]?.rowsChecked).toBe(true); // by the plain CSVs
  await writeFile(out(kept.find((name) => name.endsWith(".gpg"))), "other");
  const { problems } = await verifyFiles({ files: [out()], publicKeyFile });
  expect(problems.join()).toMatch(/\.gpg: was changed/);
});

test("a run that was interrupted keeps the same files, and a drill and retention know them", async () => {
  const { config } = await keeping({ AUDIT_EXPORT_DIR_RETENTION_DAYS: "30" });
  await addRows(trail.client, 20);
  await mkdir(out(), { recursive: true });
  await writeFile(out("audit-x"), "");
  const broken = { ...config, sftpRemoteDir: "missing" };
  await expect(exportOnce(broken, silentLog)).rejects.toThrow(/^sftp: /);
  const before = (await readdir(out())).filter((name) => /\.(csv|gpg)$/.test(name));

  const { resumed, files } = await exportOnce(config, silentLog);

  expect(before).toHaveLength(3); // the CSV, and one .gpg for each person
  expect(resumed).toBe(true);
  expect(files.map(({ name }) => name).filter((name) => before.includes(name))).toHaveLength(3);
  const drills = await drillExports(config, silentLog);
  expect(drills.map(({ recipient, problem }) => [recipient, problem])).toEqual([
    ["local", undefined],
    ["local", undefined],
  ]);
  await trail.client.query("UPDATE audit_exports SET cutoff = now() - interval '99 days'");
  for (let n = 0; n < 3; n++) {
    await addRows(trail.client, 1);
    await exportOnce(config, silentLog);
  }
  const [retained] = await retainExports(config, false, silentLog);
  expect(retained?.deleted.toSorted()).toEqual(files.map(({ name }) => name).toSorted());
});

test("what an interrupted run kept, and the next one is not to keep, does not stay in the work folder", async () => {
  const { config } = await keeping();
  await addRows(trail.client, 20);
  const broken = { ...config, sftpRemoteDir: "missing" };
  await expect(exportOnce(broken, silentLog)).rejects.toThrow(/^sftp: /);
  const work = join(trail.folder, "work");
  const left = await readdir(work);
  const stranger = "99999999-2222-3333-4444-555555555555-audit-20200101.csv.gpg";
  await writeFile(join(work, stranger), "of another database");

  await exportOnce({ ...config, pgpDeletePlaintext: true, kmsDeleteOriginal: true }, silentLog);

  expect(left.filter((name) => name.endsWith(".csv"))).toHaveLength(1);
  expect(await readdir(work)).toEqual([stranger]);
});

test.each(["AUDIT_PGP_DELETE_PLAINTEXT", "AUDIT_KMS_DELETE_ORIGINAL"])(
  "%s=false needs the folder where the file stays",
  (name) => {
    expect(() =>
      readExporterConfig({
        AIOPS_DATABASE_URL: "postgres://127.0.0.1/x",
        AUDIT_ENC_MODE: "kms",
        AUDIT_LOCAL_KEY_FILE: "/kek",
        ...sftpVariables(sftp),
        [name]: "false",
      }),
    ).toThrow(`${name}: false needs AUDIT_EXPORT_DIR`);
  },
);
