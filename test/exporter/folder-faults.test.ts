import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { folderDestination } from "../../exporter/adapters/folder.ts";
import { exportOnce } from "../../exporter/main.ts";
import { silentLog } from "../../lib/log.ts";
import { programPath } from "../servers/unprivileged.ts";
import { artifactOf } from "./given-destination.ts";
import { givenTrail, type Trail } from "./given-trail.ts";
import { addRows, folderConfig, localKeyFile } from "./given.ts";

const FETTLE = join(import.meta.dirname, "../../bin/fettle");

let trail: Trail;
let out: string;

beforeEach(async () => {
  trail = await givenTrail();
  out = join(trail.folder, "out");
});
afterEach(async () => trail.remove());

test("a folder that is full in the middle of a file keeps nothing of it, and gets it when there is room", async () => {
  await addRows(trail.client, 2_000);
  await mkdir(out);
  const env = {
    ...process.env,
    AIOPS_DATABASE_URL: trail.url,
    AUDIT_EXPORT_DIR: out,
    AUDIT_WORK_DIR: join(trail.folder, "work"),
    AUDIT_ENC_MODE: "kms",
    AUDIT_LOCAL_KEY_FILE: await localKeyFile(trail.folder, "first"),
  };
  // A disk of its own, which is gone with the program; what is left on it is listed as the last thing.
  const script = `mount -t tmpfs -o size=300k tmpfs "$0" && "$1" export; code=$?; ls -A "$0"; exit $code`;
  const args = ["--mount", "--propagation", "private", "sh", "-c", script, out, FETTLE];

  const full = promisify(execFile)(programPath("UNSHARE"), args, { env });

  await expect(full).rejects.toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining("ENOSPC") as unknown,
  });
  const config = await folderConfig(trail.folder, trail.url);
  const result = await exportOnce(config, silentLog);
  expect(result).toMatchObject({ outcome: "exported", resumed: true, rows: 2_000 });
  expect(await readdir(out)).toEqual(result.files.map(({ name }) => name));
});

test("a file that changed on the disk since it was built is no export, and does not keep the name of one", async () => {
  const content = Buffer.from("sealed");
  const artifact = await artifactOf(join(trail.folder, "work"), "audit-x.csv.gpg", content);
  await writeFile(artifact.path, "spoilt");

  const upload = folderDestination(out).upload(artifact);

  await expect(upload).rejects.toThrow("reads back as other bytes than were written");
  expect(await readdir(out)).toEqual([]);
});
