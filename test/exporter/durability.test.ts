import fs from "node:fs";
import { open, readdir, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { exportOnce } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { givenSigningKey } from "./given-signing.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, folderConfig } from "./given.ts";

let trail: Trail;

beforeEach(async () => {
  trail = await givenTrail();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await trail.remove();
});

/** Inodes whose content was sent to the disk since. */
async function watchSyncs(): Promise<ReadonlySet<number>> {
  const synced = new Set<number>();
  const { fsync } = fs;
  jest.spyOn(fs, "fsync").mockImplementation((file, done) => {
    synced.add(fs.fstatSync(file).ino);
    fsync(file, done);
  });
  const handle = await open(trail.folder, "r");
  const handles = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  jest.spyOn(handles, "sync").mockImplementation(async function (this: FileHandle) {
    synced.add((await this.stat()).ino);
    await this.datasync();
  });
  return synced;
}

test("a file has its final name only when its bytes, and then the name itself, are on the disk: the manifest's too", async () => {
  const { file } = await givenSigningKey(trail.folder);
  const config = await folderConfig(trail.folder, trail.url, {
    AUDIT_SIGNING_KEY_FILE: file,
    AUDIT_KMS_DELETE_ORIGINAL: "false",
    AUDIT_JSONL: "on",
  });
  await addRows(trail.client, 5);
  const synced = await watchSyncs();

  await exportOnce(config, silentLog);

  const out = join(trail.folder, "out");
  const names = (await readdir(out)).map((name) => name.replace(/\d{8}/, "D"));
  expect(names.toSorted()).toEqual([
    "audit-D.manifest.note",
    "audit-D.zip",
    "audit-D.zip.envelope.json",
  ]);
  const unsynced: string[] = [];
  for (const path of [out, ...(await readdir(out)).map((name) => join(out, name))])
    if (!synced.has((await stat(path)).ino)) unsynced.push(path);
  expect(unsynced).toEqual([]);
});
