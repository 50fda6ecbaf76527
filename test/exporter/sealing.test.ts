import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import { decryptFile, exportOnce, verifyFiles } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { unzipByPython } from "../servers/python.ts";
import { givenSigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, column, folderConfig, parseCsv } from "./given.ts";

let trail: Trail;

beforeEach(async () => {
  trail = await givenTrail();
});
afterEach(async () => {
  await trail.remove();
});

const out = (name = "") => join(trail.folder, "out", name);
const named = async () => (await readdir(out())).map((name) => name.replace(/\d{8}\./, "D."));

/** Two recipients, their private keys in files `ana` and `ivo`. */
async function twoRecipients(): Promise<{ keys: string; fingerprints: string[] }> {
  const people = ["ana", "ivo"].map(async (name) => {
    const { publicKey, privateKey } = await generateKey({ userIDs: [{ name }], format: "object" });
    await writeFile(join(trail.folder, name), privateKey.armor());
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
    localKeyFile: join(trail.folder, "kek"),
    pgpPrivateKeyFile: join(trail.folder, person),
    output: join(trail.folder, `opened-by-${person}-${name}`),
  });
  return { ...opened, text: await readFile(opened.path ?? "", "utf8") };
}

test("several recipients get a file each, which nobody else opens, unless one file for all is asked for", async () => {
  const { keys, fingerprints } = await twoRecipients();
  const variables = { AUDIT_ENC_MODE: "pgp", AUDIT_PGP_PUBLIC_KEYS: keys };
  await addRows(trail.client, 3, "first");
  await exportOnce(await folderConfig(trail.folder, trail.url, variables), silentLog);
  const [ana = "", ivo = ""] = fingerprints.map((fingerprint) => fingerprint.slice(-16));

  expect((await named()).toSorted()).toEqual(
    [`audit-D.csv.${ana}.gpg`, `audit-D.csv.${ivo}.gpg`].toSorted(),
  );
  const forAna = (await readdir(out())).find((name) => name.includes(ana)) ?? "";
  expect((await open(forAna, "ana")).name).toMatch(/^audit-\d{8}\.csv$/);
  await expect(open(forAna, "ivo")).rejects.toThrow("encrypted to key");

  await addRows(trail.client, 3, "second");
  const single = { ...variables, AUDIT_PGP_SINGLE_FILE: "on" };
  const { files } = await exportOnce(
    await folderConfig(trail.folder, trail.url, single),
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
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_ENC_MODE: "pgp",
    AUDIT_GPG_CLI: "on",
    AUDIT_PGP_PUBLIC_KEYS: keys,
    AUDIT_PGP_COMMENT: "Fettle audit, 2025",
  });
  await addRows(trail.client, 3, "by gpg");

  const { files } = await exportOnce(config, silentLog);

  expect(files).toHaveLength(1);
  const text = await readFile(out(files[0]?.name), "utf8");
  expect(text).toMatch(/^-----BEGIN PGP MESSAGE-----\nComment: Fettle audit, 2025\n/);
  for (const person of ["ana", "ivo"]) {
    const opened = await open(files[0]?.name ?? "", person);
    expect(column(parseCsv(opened.text), "actor")).toEqual(["by gpg", "by gpg", "by gpg"]);
  }
});

test("zstd, OpenPGP, envelope and an archive with JSON lines together, and the manifest sees through all of it", async () => {
  const { keys } = await twoRecipients();
  const { file: sign, publicKeyFile } = await givenSigningKey(trail.folder);
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEYS: keys,
    AUDIT_PGP_SINGLE_FILE: "on",
    AUDIT_COMPRESS: "zstd",
    AUDIT_JSONL: "on",
    AUDIT_MAX_PART_MB: "1",
    AUDIT_SIGNING_KEY_FILE: sign,
  });
  await addRows(trail.client, 6_000, "=formula");

  const result = await exportOnce(config, silentLog);

  expect((await named()).toSorted()).toEqual([
    "audit-D.manifest.note",
    "audit-D.part002.zip.zst.gpg.envelope.json",
    "audit-D.zip.zst.gpg.envelope.json",
  ]);
  const rows: (string | null)[][] = [];
  const lines: unknown[] = [];
  for (const { name } of result.files.slice(0, -1)) {
    const { path, opened } = await open(name, "ivo");
    expect(opened).toEqual(["envelope", "pgp", "zstd"]);
    const [csv = "", jsonl = ""] = (await unzipByPython(path ?? "")).values();
    rows.push(...parseCsv(csv).slice(rows.length === 0 ? 0 : 1));
    lines.push(
      ...jsonl
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
    localKeyFile: join(trail.folder, "kek"),
    pgpPrivateKeyFile: join(trail.folder, "ana"),
  });
  expect(report).toMatchObject({
    problems: [],
    filesChecked: 2,
    manifests: [{ rows: 6_000, rowsChecked: true }],
  });
});

test("a recipient whose key has expired stops the export before a row is read; with another key the next run is whole", async () => {
  const day = 86_400;
  const old = await generateKey({
    userIDs: [{ name: "Old" }],
    date: new Date(Date.now() - 7 * day * 1000),
    keyExpirationTime: day,
    format: "object",
  });
  const [fresh] = (await twoRecipients()).keys.split(",");
  const fingerprint = old.publicKey.getFingerprint().toUpperCase();
  const exportTo = async (keys: string) => {
    const variables = { AUDIT_ENC_MODE: "pgp", AUDIT_PGP_PUBLIC_KEYS: keys };
    return exportOnce(await folderConfig(trail.folder, trail.url, variables), silentLog);
  };
  await addRows(trail.client, 3);

  // The others' keys are good: nobody is left out in silence.
  const failing = exportTo(`${fresh ?? ""},${old.publicKey.armor()}`);

  await expect(failing).rejects.toThrow(new RegExp(`${fingerprint} cannot be used.*expired`, "s"));
  expect(await readdir(trail.folder)).not.toContain("out");
  expect((await trail.client.query("SELECT FROM audit_exports")).rowCount).toBe(0);
  expect(await exportTo(fresh ?? "")).toMatchObject({ outcome: "exported", rows: 3 });
});
