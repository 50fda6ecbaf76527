import { afterAll, beforeAll, expect, test } from "@jest/globals";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { openStore } from "../../../lib/adapters/storage/open.ts";

let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fettle-folder-"));
});
afterAll(async () => {
  await chmod(root, 0o700);
  await rm(root, { recursive: true });
});

const info = () => ({ contentType: "text/plain", signal: AbortSignal.timeout(20_000) });

test("files and folders are this user's alone", async () => {
  const store = openStore({ kind: "folder", path: join(root, "modes") });
  await store.put("a/b.txt", Readable.from([Buffer.from("x")]), info());

  expect((await stat(join(root, "modes", "a", "b.txt"))).mode & 0o777).toBe(0o600);
  expect((await stat(join(root, "modes", "a"))).mode & 0o777).toBe(0o700);
});

test("what killed processes have left of the same file is cleared away, and nothing that may still be written", async () => {
  const folder = join(root, "left");
  await mkdir(folder);
  const parts = {
    dead: `.x.${hostname()}.4194999.0001.part`,
    before: `.x.${hostname()}.${process.pid}.0002.part`,
    alive: `.x.${hostname()}.1.0003.part`,
    elsewhere: ".x.another-host.77.0004.part",
    elsewhereLong: ".x.another-host.77.0005.part",
    other: `.y.${hostname()}.4194999.0006.part`,
  };
  for (const name of Object.values(parts)) await writeFile(join(folder, name), "half");
  await utimes(join(folder, parts.elsewhereLong), new Date(0), new Date(0));
  const store = openStore({ kind: "folder", path: folder });

  await store.put("x", Readable.from([Buffer.from("whole")]), info());

  expect((await readdir(folder)).sort()).toEqual(
    [parts.alive, parts.elsewhere, parts.other, "x"].sort(),
  );
});

test("two who write the same file at once leave one of the two, whole", async () => {
  const store = openStore({ kind: "folder", path: join(root, "both") });
  const contents = ["a", "b"].map((letter) => letter.repeat(500_000));

  await Promise.all(
    contents.map(async (content) => store.put("x", Readable.from([Buffer.from(content)]), info())),
  );

  expect(await store.head("x", AbortSignal.timeout(20_000))).toMatchObject({ bytes: 500_000 });
  expect(await readdir(join(root, "both"))).toEqual(["x"]);
});

test("a folder in the place of the file, and a file in the place of the folder, are refused", async () => {
  const store = openStore({ kind: "folder", path: join(root, "mixed") });
  await store.put("a/b", Readable.from([Buffer.from("x")]), info());
  const put = async (key: string) => store.put(key, Readable.from([Buffer.from("x")]), info());

  await expect(put("a")).rejects.toMatchObject({ kind: "refused" });
  await expect(put("a/b/c")).rejects.toMatchObject({ name: "StorageError" });
});

test("listing shows files, not links or what is being written", async () => {
  const folder = join(root, "listed");
  const store = openStore({ kind: "folder", path: folder });
  await store.put("a/b", Readable.from([Buffer.from("xyz")]), info());
  await writeFile(join(folder, "a", ".b.host.1.2.part"), "half");
  await symlink("/etc/passwd", join(folder, "a", "link"));

  const found: unknown[] = [];
  for await (const entry of store.list("", AbortSignal.timeout(20_000))) found.push(entry);

  expect(found).toEqual([{ key: "a/b", bytes: 3 }]);
});
