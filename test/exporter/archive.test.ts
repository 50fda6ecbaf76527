import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { contentOfFile } from "../../exporter/content.ts";
import { drillExports, exportOnce, verifyFiles, type CheckReport } from "../../exporter/main.ts";
import { openArchive } from "../../exporter/unzip.ts";
import { silentLog } from "../../lib/log.ts";
import { signNote } from "../../lib/signed-note.ts";
import { unzipByPython } from "../servers/python.ts";
import { givenSigningKey, type SigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { member, pack } from "./given-zip.ts";
import { addRows, column, folderConfig, parseCsv } from "./given.ts";

let trail: Trail;
let key: SigningKey;

beforeEach(async () => {
  trail = await givenTrail();
  key = await givenSigningKey(trail.folder);
});
afterEach(async () => {
  await trail.remove();
});

const out = (name = "") => join(trail.folder, "out", name);
async function archiveConfig(more: Readonly<Record<string, string>> = {}) {
  return folderConfig(trail.folder, trail.url, {
    AUDIT_JSONL: "on",
    AUDIT_SIGNING_KEY_FILE: key.file,
    ...more,
  });
}

async function check(files: readonly string[]): Promise<CheckReport> {
  return verifyFiles({
    files,
    publicKeyFile: key.publicKeyFile,
    localKeyFile: join(trail.folder, "kek"),
  });
}

/** The only file whose name ends so. */
async function nameOf(end: string): Promise<string> {
  const found = (await readdir(out())).filter((name) => name.endsWith(end));
  expect(found).toHaveLength(1);
  return found[0] ?? "";
}

test("with AUDIT_JSONL each part is one sealed archive that Python unpacks, and verify and drill see through it", async () => {
  const config = await archiveConfig({
    AUDIT_MAX_PART_MB: "1",
    AUDIT_KMS_DELETE_ORIGINAL: "false",
  });
  await addRows(trail.client, 6_000, "=cmd");

  const { files, rows } = await exportOnce(config, silentLog);

  expect(rows).toBe(6_000);
  expect(files.map(({ name }) => name.replace(/\d{8}/, "D"))).toEqual([
    ...["audit-D.zip.envelope.json", "audit-D.part002.zip.envelope.json"],
    ...["audit-D.zip", "audit-D.part002.zip", "audit-D.manifest.note"],
  ]);
  const seen: (string | null)[] = [];
  for (const name of [files[2]?.name ?? "", files[3]?.name ?? ""]) {
    const members = await unzipByPython(out(name));
    expect([...members.keys()]).toEqual(["csv", "jsonl"].map((end) => name.replace("zip", end)));
    const [csv = "", jsonl = ""] = members.values();
    const actors = column(parseCsv(csv), "actor");
    const lines = jsonl.trimEnd().split("\n");
    expect(lines).toHaveLength(actors.length);
    expect(lines.every((line) => line.includes('"actor":"=cmd"'))).toBe(true);
    seen.push(...actors);
  }
  expect(seen).toEqual(Array.from({ length: 6_000 }, () => "'=cmd"));
  const report = await check([out()]);
  expect(report).toMatchObject({ filesChecked: 4, problems: [] });
  expect(report.manifests).toMatchObject([{ rows: 6_000, rowsChecked: true }]);
  for (const name of files.slice(2, 4)) await rm(out(name.name));
  expect(await check([out()])).toMatchObject({
    filesChecked: 2,
    problems: [],
    manifests: [{ rowsChecked: true }],
  });
  expect(await drillExports(config, silentLog)).toMatchObject([{ problem: undefined }]);
});

test("with hashed names the members of an archive show no date either", async () => {
  const config = await archiveConfig({
    AUDIT_FILENAME_MODE: "hashed",
    AUDIT_FILENAME_SALT: "0123456789abcdef",
    AUDIT_ENCRYPTION: "off",
  });
  await addRows(trail.client, 3);

  await exportOnce(config, silentLog);

  const name = await nameOf(".zip");
  expect(name).toMatch(/^[0-9a-f]{32}\.zip$/);
  const members = await unzipByPython(out(name));
  expect([...members.keys()]).toEqual(["csv", "jsonl"].map((end) => name.replace("zip", end)));
  expect(await check([out()])).toMatchObject({ problems: [], manifests: [{ rowsChecked: true }] });
});

const changeRow = (text: string) =>
  text.replace('"n": 2', '"n": 7').replace('""n"": 2', '""n"": 7');
const dropRow = (text: string) => text.split("\n").toSpliced(2, 1).join("\n");
const TAMPERING: readonly [string, string, (text: string) => string, RegExp][] = [
  ["an edited row of the CSV", "csv", changeRow, /rows are not those that were exported/],
  ["an edited row of the JSON lines", "jsonl", changeRow, /row 2 is another in its JSON lines/],
  ["a deleted line", "jsonl", dropRow, /row 3 is another in its JSON lines/],
  ["a cut tail", "jsonl", (text) => text.slice(0, text.lastIndexOf("{")), /row 4 is another/],
  ["an added line", "jsonl", (text) => `${text}{}\n`, /JSON lines go on behind row 4/],
  ["a deleted row of the CSV", "csv", dropRow, /has \d rows, the manifest says 4/],
];

test.each(TAMPERING)(
  "%s is found in an archive, and in what was unpacked beside a good one",
  async (_name, which, tamper, expected) => {
    await addRows(trail.client, 4);
    await exportOnce(await archiveConfig({ AUDIT_ENCRYPTION: "off" }), silentLog);
    const name = await nameOf(".zip");
    const members = await unzipByPython(out(name));
    const changed = [...members].map(([at, text]) => {
      return [at, at.endsWith(`.${which}`) ? tamper(text) : text] as const;
    });
    expect(changed.filter(([at, text]) => members.get(at) !== text)).toHaveLength(1);
    const apart = join(trail.folder, "apart");
    await mkdir(apart);
    for (const [at, text] of changed) await writeFile(join(apart, at), text);

    const beside = await check([out(), apart]);
    await writeFile(out(name), await pack(changed.map(([at, text]) => member(at, text))));
    const inside = await check([out()]);

    expect(beside.problems.join("\n")).toMatch(expected);
    expect(beside.manifests).toMatchObject([{ rowsChecked: false }]);
    expect(inside.problems).toHaveLength(2);
    expect(inside.problems[0]).toMatch(/\.zip: was changed/);
    expect(inside.problems[1]).toMatch(expected);
  },
);

test("a file of another name in the archive's place is told by the names of its members", async () => {
  await addRows(trail.client, 2);
  const config = await archiveConfig({ AUDIT_ENCRYPTION: "off" });
  await exportOnce(config, silentLog);
  const name = await nameOf(".zip");
  const other = name.replace(".zip", ".9.zip");
  await rename(out(name), out(other));

  const opening = openArchive(other, contentOfFile(out(other)));

  await expect(opening).rejects.toThrow(/the archive holds "audit-\d{8}\.csv"/);
  expect((await readFile(out(other))).subarray(0, 2).toString()).toBe("PK");
});

test("what an earlier version exported, with JSON lines in files of their own, is still verified", async () => {
  await addRows(trail.client, 3);
  const config = await archiveConfig({ AUDIT_ENCRYPTION: "off", AUDIT_JSONL: "off" });
  await exportOnce(config, silentLog);
  const name = await nameOf(".manifest.note");
  const note = await readFile(out(name), "utf8");
  const lines = Buffer.from("{}\n");
  const manifest = JSON.parse(note.slice(0, note.lastIndexOf("\n\n"))) as { files: object[] };
  manifest.files.push({
    ...{ name: "audit.jsonl", part: 1, form: "jsonl", bytes: lines.length },
    sha256: createHash("sha256").update(lines).digest("hex"),
  });
  const text = `${JSON.stringify(manifest)}\n`;
  await writeFile(out(name), signNote(text, "fettle-audit", key.privateKey));
  await writeFile(out("audit.jsonl"), lines);

  const report = await check([out()]);
  await writeFile(out("audit.jsonl"), "{ }\n");
  const changed = await check([out()]);

  expect(report).toMatchObject({
    problems: [],
    filesChecked: 2,
    manifests: [{ rowsChecked: true }],
  });
  expect(changed.problems).toEqual([expect.stringMatching(/^audit\.jsonl: was changed/)]);
});
