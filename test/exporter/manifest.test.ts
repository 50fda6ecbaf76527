import { execFile } from "node:child_process";
import { generateKeyPairSync, randomInt } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { generateKey } from "openpgp";
import {
  exportOnce,
  verifyFiles,
  type CheckReport,
  type ExporterConfig,
} from "../../exporter/main.ts";
import { signNote } from "../../lib/signed-note.ts";
import { armFailpoint } from "../../lib/failpoint.ts";
import { silentLog } from "../../lib/log.ts";
import { openEnvelopeByPython } from "../servers/python.ts";
import { programPath } from "../servers/unprivileged.ts";
import { givenSigningKey, type SigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, folderConfig, parseCsv } from "./given.ts";

let trail: Trail;
let key: SigningKey;

beforeEach(async () => {
  trail = await givenTrail();
  key = await givenSigningKey(trail.folder);
});
afterEach(async () => {
  armFailpoint(undefined);
  await trail.remove();
});

async function signingConfig(more: Readonly<Record<string, string>> = {}): Promise<ExporterConfig> {
  return folderConfig(trail.folder, trail.url, {
    AUDIT_SIGNING_KEY_FILE: key.file,
    ...more,
  });
}

async function check(
  files: readonly string[],
  more: Partial<Parameters<typeof verifyFiles>[0]> = {},
): Promise<CheckReport> {
  return verifyFiles({
    files,
    publicKeyFile: key.publicKeyFile,
    localKeyFile: join(trail.folder, "kek"),
    ...more,
  });
}

const out = (name = "") => join(trail.folder, "out", name);
const nameOf = async (pattern: RegExp) => {
  const found = (await readdir(out())).filter((name) => pattern.test(name));
  expect(found).toHaveLength(1);
  return found[0] ?? "";
};

test("a large export comes in parts that the guide opens, and its manifest proves them and their rows", async () => {
  const config = await signingConfig({ AUDIT_MAX_PART_MB: "1" });
  await addRows(trail.client, 10_000);

  const result = await exportOnce(config, silentLog);

  expect(result.rows).toBe(10_000);
  expect(result.files.map(({ name }) => name.replace(/\d{8}/, "D"))).toEqual([
    "audit-D.csv.envelope.json",
    "audit-D.part002.csv.envelope.json",
    "audit-D.part003.csv.envelope.json",
    "audit-D.manifest.note",
  ]);
  const rows: (string | null)[][] = [];
  for (const { name } of result.files.slice(0, -1)) {
    const opened = await openEnvelopeByPython(out(name), join(trail.folder, "kek"), trail.folder);
    const bytes = await readFile(opened);
    expect(bytes.length).toBeLessThanOrEqual(1_000_000);
    rows.push(...parseCsv(bytes.toString("utf8")).slice(1));
  }
  expect(rows.map(([id]) => Number(id))).toEqual(Array.from({ length: 10_000 }, (_, n) => n + 1));
  const report = await check([out()]);
  expect(report).toMatchObject({ filesChecked: 3, problems: [] });
  expect(report.manifests).toMatchObject([{ sequence: 1, rows: 10_000, rowsChecked: true }]);
  const blind = await check([out()], { localKeyFile: undefined });
  expect(blind).toMatchObject({ problems: [], manifests: [{ rowsChecked: false }] });
  expect(await readdir(join(trail.folder, "work"))).toEqual([]);
});

test.each([
  ["export-planned", 1],
  ["export-part-built", 1],
  ["export-part-built", 3],
  ["export-built", 1],
  ["export-uploaded", 1],
  ["export-signed", 1],
  ["export-manifest-uploaded", 1],
])(
  "an export in parts that dies at %s (%i) is finished with the same rows, under one manifest",
  async (point, nth) => {
    const config = await signingConfig({ AUDIT_MAX_PART_MB: "1" });
    await addRows(trail.client, 10_000);
    armFailpoint(`${point}:${nth}:throw`);
    await expect(exportOnce(config, silentLog)).rejects.toThrow("failpoint");
    armFailpoint(undefined);
    await addRows(trail.client, 5);

    const result = await exportOnce(config, silentLog);

    expect(result).toMatchObject({ outcome: "exported", resumed: true, rows: 10_000 });
    expect(await readdir(join(trail.folder, "work"))).toEqual([]);
    expect(await check([out()])).toMatchObject({
      filesChecked: 3,
      problems: [],
      manifests: [{ sequence: 1, rowsChecked: true }],
    });
  },
);

test("parts that were ready are not built again, and reading goes on behind them", async () => {
  const config = await signingConfig({ AUDIT_MAX_PART_MB: "1" });
  await addRows(trail.client, 10_000);
  armFailpoint("export-part-built:2:throw");
  await expect(exportOnce(config, silentLog)).rejects.toThrow("failpoint");
  armFailpoint(undefined);
  const built = await trail.client.query("SELECT file_name FROM audit_export_builds");
  const larger = await signingConfig({ AUDIT_MAX_PART_MB: "2" }); // the plan keeps the size it began with

  await exportOnce(larger, silentLog);

  expect(built.rowCount).toBe(2);
  const all = await trail.client.query("SELECT file_name FROM audit_export_builds");
  expect(all.rowCount).toBe(3);
});

test("a run without new rows leaves a manifest that says so, and the chain goes on", async () => {
  const config = await signingConfig();
  const first = await exportOnce(config, silentLog);
  await addRows(trail.client, 3);
  await exportOnce(config, silentLog);
  const none = await exportOnce(config, silentLog);

  expect(first).toMatchObject({ outcome: "nothing-new", rows: 0 });
  expect(none.files.map(({ name }) => name)).toEqual([
    expect.stringMatching(/^audit-\d{8}\.3\.manifest\.note$/),
  ]);
  const report = await check([out()]);
  expect(report.problems).toEqual([]);
  expect(report.manifests.map(({ sequence, rows }) => [sequence, rows])).toEqual([
    [1, 0],
    [2, 3],
    [3, 0],
  ]);
});

/** Two exports of four rows, opened: what a reader of the archive has. */
async function archive(): Promise<{ csv: string; folder: string }> {
  const config = await signingConfig({ AUDIT_ENCRYPTION: "off" });
  await addRows(trail.client, 4, "first");
  await exportOnce(config, silentLog);
  await addRows(trail.client, 4, "second");
  await exportOnce(config, silentLog);
  await addRows(trail.client, 4, "third");
  await exportOnce(config, silentLog);
  const csv = await nameOf(/^audit-\d{8}\.2\.csv$/);
  return { csv, folder: out() };
}

/** Splits at line ends outside quotes. */
const linesOf = (text: string) => text.match(/(?:"[^"]*"|[^"\n])*\n/g) ?? [];

const TAMPERING: readonly [string, (lines: string[]) => string[], RegExp][] = [
  [
    "an edited row",
    ([head = "", a = "", ...rest]) => [head, a.replace("second", "sfcond"), ...rest],
    /was changed/,
  ],
  ["a deleted row", (lines) => lines.toSpliced(2, 1), /has 3 rows, the manifest says 4/],
  ["an inserted row", (lines) => lines.toSpliced(2, 0, lines[1] ?? ""), /has 5 rows/],
  [
    "reordered rows",
    ([head = "", a = "", b = "", ...rest]) => [head, b, a, ...rest],
    /rows are not those/,
  ],
  ["a cut tail", (lines) => lines.slice(0, -1), /has 3 rows/],
];

test.each(TAMPERING)("%s is found", async (_name, tamper, expected) => {
  const { csv } = await archive();
  const lines = linesOf(await readFile(out(csv), "utf8"));
  expect(lines).toHaveLength(5);
  await writeFile(out(csv), tamper(lines).join(""));

  const { problems } = await check([out()]);

  expect(problems.join("\n")).toMatch(expected);
  expect(problems.join("\n")).toContain(csv);
});

test("a rewritten chain is found: another key, a manifest taken out, one replaced by another that the exporter signed, its end cut off", async () => {
  await archive();
  const [first, second, third] = [
    await nameOf(/^audit-\d{8}\.manifest\.note$/),
    await nameOf(/\.2\.manifest\.note$/),
    await nameOf(/\.3\.manifest\.note$/),
  ];
  const good = await check([out()]);
  expect(good.problems).toEqual([]);
  const head = `3:${good.manifests[2]?.sha256 ?? ""}`;
  expect((await check([out()], { head })).problems).toEqual([]);
  const note = await readFile(out(second), "utf8");
  const text = note.slice(0, note.lastIndexOf("\n\n") + 1);
  const forged = text.replace('"rows": 4', '"rows": 5');
  const stranger = generateKeyPairSync("ed25519").privateKey;
  const problemsAfter = async (change: () => Promise<void>, more = {}) => {
    const copy = join(trail.folder, "copy");
    await rm(copy, { recursive: true, force: true });
    await mkdir(copy);
    for (const name of await readdir(out())) await copyFile(out(name), join(copy, name));
    await change();
    return (await check([copy], more)).problems.join("\n");
  };
  const copied = (name: string) => join(trail.folder, "copy", name);

  expect(
    await problemsAfter(async () =>
      writeFile(copied(second), signNote(forged, "fettle-audit", stranger)),
    ),
  ).toMatch(/no signature of the given keys[\s\S]*manifest 2 is missing/);
  expect(await problemsAfter(async () => rm(copied(second)))).toMatch(/manifest 2 is missing/);
  expect(
    await problemsAfter(async () =>
      writeFile(copied(second), signNote(forged, "fettle-audit", key.privateKey)),
    ),
  ).toMatch(/manifest 3: the one before it is not the one that it names; the chain was rewritten/);
  const cutOff = async () => {
    await rm(copied(third));
    await rm(copied(third.replace("manifest.note", "csv")));
  };
  expect(await problemsAfter(cutOff)).toBe(""); // from inside nothing is wrong: so the head is noted elsewhere
  expect(await problemsAfter(cutOff, { head })).toMatch(/the end of the chain was cut off/);
  const previous = out(first);
  await rm(join(trail.folder, "copy"), { recursive: true });
  const later = [out(second), out(second.replace("manifest.note", "csv"))];
  expect((await check(later, { previous })).problems).toEqual([]);
  expect((await check(later, { previous: out(third) })).problems.join()).toMatch(/two that differ/);
});

test("the Python of the documentation computes the manifest's root from the CSVs", async () => {
  const config = await signingConfig({ AUDIT_ENCRYPTION: "off", AUDIT_MAX_PART_MB: "1" });
  for (const value of [null, "", "'", "=1", "''+2", 'a "b",\nc', "žut 🛠"]) {
    await trail.client.query(
      "INSERT INTO runbooks_audit (event, actor, action) VALUES ('x', 'a', $1)",
      [value],
    );
  }
  await addRows(trail.client, 5_000);
  const { files } = await exportOnce(config, silentLog);
  const [first = "", second = "", manifest = ""] = files.map(({ name }) => out(name));
  const guide = await readFile(join(import.meta.dirname, "../../docs/exporter.md"), "utf8");
  const program = join(trail.folder, "root.py");
  await writeFile(program, /```python\n([\s\S]*?)```/.exec(guide)?.[1] ?? "");

  const { stdout } = await promisify(execFile)(programPath("PYTHON"), [program, first, second]);

  const text = await readFile(manifest, "utf8");
  expect(text).toContain(`"root": "${stdout.trim()}"`);
});

test("a missing part and a foreign file are named", async () => {
  const { csv } = await archive();
  await rm(out(csv));
  await writeFile(out("stranger.csv"), "hello");

  const { problems } = await check([out()]);

  expect(problems).toEqual([
    `${csv}: is missing (manifest 2 names it)`,
    "stranger.csv: no manifest names it",
  ]);
});

test("1,000 random byte flips in each artefact are all found", async () => {
  const { publicKey } = await generateKey({ userIDs: [{ name: "Ana" }] });
  const config = await signingConfig({
    AUDIT_ENC_MODE: "pgp+kms",
    AUDIT_PGP_PUBLIC_KEY: publicKey,
    AUDIT_PGP_DELETE_PLAINTEXT: "false",
    AUDIT_KMS_DELETE_ORIGINAL: "false",
    AUDIT_JSONL: "on",
  });
  await addRows(trail.client, 5);
  const { files } = await exportOnce(config, silentLog);
  expect(files.map(({ name }) => name.replace(/^audit-\d+\./, ""))).toEqual([
    ...["zip.gpg.envelope.json", "zip", "zip.gpg"],
    "manifest.note",
  ]);
  const [sealed, note] = [files.slice(0, -1), files.slice(-1)].map((list) =>
    list.map(({ name }) => name),
  );
  // Without the manifest nothing can be said of the others, so they are flipped all at once, and it by itself.
  for (const names of [sealed ?? [], note ?? []]) {
    const originals = await Promise.all(names.map(async (name) => readFile(out(name))));
    for (let n = 0; n < 1_000; n++) {
      const places = originals.map(({ length }) => randomInt(length));
      for (const [index, name] of names.entries()) {
        const flipped = Buffer.from(originals[index] ?? "");
        const at = places[index] ?? 0;
        flipped.writeUInt8((flipped[at] ?? 0) ^ (1 << randomInt(8)), at);
        await writeFile(out(name), flipped);
      }
      const { problems } = await check([out()], { localKeyFile: undefined });
      const unseen = names.filter((name) => !problems.some((text) => text.startsWith(`${name}: `)));
      expect([places, unseen]).toEqual([places, []]);
    }
    for (const [index, name] of names.entries()) await writeFile(out(name), originals[index] ?? "");
  }
  expect((await check([out()])).problems).toEqual([]);
});
