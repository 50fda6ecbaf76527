import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, readdir, stat, utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import {
  preparePrivateFolder,
  sweepWorkFolder,
  withRestoreFolder,
} from "../../exporter/work-folder.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { tempFolder } from "./given.ts";

const EXPORT_ID = "11111111-2222-3333-4444-555555555555";

/** All but intervals. */
const REAL = ["Date", "performance", "hrtime", "nextTick", "setImmediate", "setTimeout"] as const;

let folder: Awaited<ReturnType<typeof tempFolder>>;

beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => {
  jest.useRealTimers();
  await folder.remove();
});

test("is made for its owner alone, and refused when it is open to others", async () => {
  const path = join(folder.path, "a", "work");

  await preparePrivateFolder(path);
  await expect(preparePrivateFolder(path)).resolves.toBeUndefined();
  await chmod(path, 0o750);

  await expect(preparePrivateFolder(path)).rejects.toThrow(
    /must belong to the exporter's user alone/,
  );
});

test("loses what dead processes left half-written, and sealed files that nobody fetched for a week", async () => {
  const dead = spawnSync("true").pid;
  const fresh = `${EXPORT_ID}-audit-20251121.csv.gpg`;
  const old = `${EXPORT_ID}-audit-20250101.csv.gpg`;
  const living = `.${fresh}.${process.ppid}.part`;
  const names = [
    fresh,
    old,
    living,
    `.${old}.${dead}.part`,
    `.mine.${process.pid}.part`,
    "notes.txt",
  ];
  for (const name of names) await writeFile(join(folder.path, name), "");
  const longAgo = new Date(Date.now() - 8 * 86_400_000);
  await utimes(join(folder.path, old), longAgo, longAgo);
  await utimes(join(folder.path, "notes.txt"), longAgo, longAgo);

  const removed = await sweepWorkFolder(folder.path, new Date());

  expect(removed.toSorted()).toEqual(
    [old, `.${old}.${dead}.part`, `.mine.${process.pid}.part`].toSorted(),
  );
  expect((await readdir(folder.path)).toSorted()).toEqual([fresh, living, "notes.txt"].toSorted());
});

test("loses the folder of a restore that was killed an hour ago, and leaves one that is at work for longer", async () => {
  const killed = await mkdtemp(join(folder.path, "restore-"));
  await writeFile(join(killed, "backup-20260101T000000Z.dump.0001"), "sealed");
  const longAgo = new Date(Date.now() - 61 * 60_000);
  await utimes(killed, longAgo, longAgo);
  jest.useFakeTimers({ doNotFake: [...REAL] });

  const left = await withRestoreFolder(folder.path, async (atWork) => {
    await utimes(atWork, longAgo, longAgo);
    jest.advanceTimersByTime(60_000);
    await waitUntil("the restore to say that it is at work", async () => {
      return (await stat(atWork)).mtimeMs > longAgo.getTime() + 60_000;
    });

    expect(await sweepWorkFolder(folder.path, new Date())).toEqual([basename(killed)]);
    return [await readdir(folder.path), [basename(atWork)]];
  });

  expect(left[0]).toEqual(left[1]);
  expect(await readdir(folder.path)).toEqual([]);
  expect(jest.getTimerCount()).toBe(0);
});
