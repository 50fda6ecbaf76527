import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import type pg from "pg";
import { decryptFile, exportOnce, verifyFiles } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { addRows, column, connectTo, folderConfig, parseCsv, tempFolder } from "./given.ts";

let database: TestDatabase;
let client: pg.Client;
let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeEach(async () => {
  folder = await tempFolder();
  database = await createTestDatabase();
  client = await connectTo(database.url);
});
afterEach(async () => {
  await client.end();
  await database.drop();
  await folder.remove();
});

const out = (name = "") => join(folder.path, "out", name);
const named = async () => (await readdir(out())).map((name) => name.replace(/\d{8}\./, "D."));

/** Two recipients, their private keys in files `ana` and `ivo`. */
async function twoRecipients(): Promise<{ keys: string; fingerprints: string[] }> {
  const people = ["ana", "ivo"].map(async (name) => {
    const { publicKey, privateKey } = await generateKey({ userIDs: [{ name }], format: "object" });
    await writeFile(join(folder.path, name), privateKey.armor());
    return { armored: publicKey.armor(), fingerprint: publicKey.getFingerprint().toUpperCase() };
  });
  const both = await Promise.all(people);
  return {
    keys: both.map(({ armored }) => armored).join(","),
    fingerprints: both.map(({ fingerprint }) => fingerprint),
  };
}

async function open(name: string, person: string) {
  const opened = await decryptFile({
    file: out(name),
    localKeyFile: join(folder.path, "kek"),
    pgpPrivateKeyFile: join(folder.path, person),
    output: join(folder.path, `opened-by-${person}-${name}`),
  });
  return { ...opened, text: await readFile(opened.path ?? "", "utf8") };
}

test("several recipients get a file each, which nobody else opens, unless one file for all is asked for", async () => {
  const { keys, fingerprints } = await twoRecipients();
  const variables = { AUDIT_ENC_MODE: "pgp", AUDIT_PGP_PUBLIC_KEYS: keys };
  await addRows(client, 3, "first");
  await exportOnce(await folderConfig(folder.path, database.url, variables), silentLog);
  const [ana = "", ivo = ""] = fingerprints.map((fingerprint) => fingerprint.slice(-16));

  expect((await named()).toSorted()).toEqual(
    [`audit-D.csv.${ana}.gpg`, `audit-D.csv.${ivo}.gpg`].toSorted(),
  );
  const forAna = (await readdir(out())).find((name) => name.includes(ana)) ?? "";
  expect((await open(forAna, "ana")).name).toMatch(/^audit-\d{8}\.csv$/);
  await expect(open(forAna, "ivo")).rejects.toThrow("encrypted to key");

  await addRows(client, 3, "second");
  const single = { ...variables, AUDIT_PGP_SINGLE_FILE: "on" };
  const { files } = await exportOnce(
    await folderConfig(folder.path, database.url, single),
    silentLog,
  );
  expect(files.map(({ name }) => name.replace(/\d{8}\./, "D."))).toEqual(["audit-D.2.csv.gpg"]);
  for (const person of ["ana", "ivo"]) {
    const { text } = await open(files[0]?.name ?? "", person);
    expect(column(parseCsv(text), "actor")).toEqual(["second", "second", "second"]);
  }
});

test("gpg on request: one file for all, armored with the comment, the same rows", async () => {
  const { keys } = await twoRecipients();
  const config = await folderConfig(folder.path, database.url, {
    AUDIT_ENC_MODE: "pgp",
    AUDIT_GPG_CLI: "on",
    AUDIT_PGP_PUBLIC_KEYS: keys,
    AUDIT_PGP_COMMENT: "Fettle audit, 2025",
  });
  await addRows(client, 3, "by gpg");

  const { files } = await exportOnce(config, silentLog);

  expect(files).toHaveLength(1);
  const text = await readFile(out(files[0]?.name), "utf8");
  expect(text).toMatch(/^-----BEGIN PGP MESSAGE-----\nComment: Fettle audit, 2025\n/);
  for (const person of ["ana", "ivo"]) {
    const opened = await open(files[0]?.name ?? "", person);
    expect(column(parseCsv(opened.text), "actor")).toEqual(["by gpg", "by gpg", "by gpg"]);
  }
});

test("zstd, OpenPGP, envelope and JSON lines together, and the manifest sees through all of it", async () => {
  const { keys } = await twoRecipients();
  const { privateKey } = generateKeyPairSync("ed25519");
  const sign = join(folder.path, "sign.pem");
  await writeFile(sign, privateKey.export({ format: "pem", type: "pkcs8" }), { mode: 0o600 });
  const publicKeyFile = join(folder.path, "sign.pub");
  const pub = createPublicKey(privateKey).export({ format: "pem", type: "spki" });
  await writeFile(publicKeyFile, pub);
  const config = await folderConfig(folder.path, database.url, {
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEYS: keys,
    AUDIT_PGP_SINGLE_FILE: "on",
    AUDIT_COMPRESS: "zstd",
    AUDIT_JSONL: "on",
    AUDIT_MAX_PART_MB: "1",
    AUDIT_SIGNING_KEY_FILE: sign,
  });
  await addRows(client, 6_000, "=formula");

  const result = await exportOnce(config, silentLog);

  expect((await named()).toSorted()).toEqual([
    "audit-D.csv.zst.gpg.envelope.json",
    "audit-D.jsonl.zst.gpg.envelope.json",
    "audit-D.manifest.note",
    "audit-D.part002.csv.zst.gpg.envelope.json",
    "audit-D.part002.jsonl.zst.gpg.envelope.json",
  ]);
  const rows: (string | null)[][] = [];
  const lines: unknown[] = [];
  for (const { name } of result.files.slice(0, -1)) {
    const { text, opened } = await open(name, "ivo");
    expect(opened).toEqual(["envelope", "pgp", "zstd"]);
    if (name.includes(".csv")) rows.push(...parseCsv(text).slice(rows.length === 0 ? 0 : 1));
    else
      lines.push(
        ...text
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line) as unknown),
      );
  }
  expect(rows).toHaveLength(6_001);
  expect(column(rows, "actor")[0]).toBe("'=formula");
  expect(lines).toHaveLength(6_000);
  expect(lines.at(-1)).toMatchObject({ id: "6000", actor: "=formula", detail: { n: 6000 } });
  const report = await verifyFiles({
    files: [out()],
    publicKeyFile,
    localKeyFile: join(folder.path, "kek"),
    pgpPrivateKeyFile: join(folder.path, "ana"),
  });
  expect(report).toMatchObject({
    problems: [],
    filesChecked: 4,
    manifests: [{ rows: 6_000, rowsChecked: true }],
  });
});
