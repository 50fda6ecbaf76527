import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { ensurePrograms } from "../../ops/test/ensure.ts";
import { nextReleaseFolder } from "../../ops/test/next-release.ts";
import { programPath } from "../servers/unprivileged.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fettle-next-"));
});
afterEach(async () => rm(folder, { recursive: true }));

/** An apt-get that says why it does nothing, and the machine's other programs. */
async function envWith(aptGet: string | undefined): Promise<NodeJS.ProcessEnv> {
  const bin = join(folder, "bin");
  await mkdir(bin);
  if (aptGet !== undefined) {
    await writeFile(join(bin, "apt-get"), `#!/bin/sh\n${aptGet}\n`);
    await chmod(join(bin, "apt-get"), 0o755);
  }
  for (const name of ["GPG", "SQ"]) {
    const path = programPath(name);
    await symlink(path, join(bin, basename(path)));
  }
  return {
    PATH: process.env["PATH"],
    FETTLE_TEST_SEARCH_PATH: bin,
    FETTLE_TEST_CACHE: join(folder, "cache"),
  };
}

const WANTED = ["GPG", "SQ", "GPG24", "SQ1"];

test.each([
  ["that cannot reach the mirror", "echo 'E: Could not connect to deb.debian.org'; exit 100"],
  ["that lists nothing to be unpacked", "exit 0"],
])(
  "with an apt-get %s each missing program is named, and nothing half unpacked stays",
  async (how, does) => {
    const env = await envWith(does);
    const said: string[] = [];

    const ensuring = () => ensurePrograms(env, (line) => said.push(line), WANTED);

    expect(ensuring).toThrow(how.includes("mirror") ? "Could not connect" : /no loader|ENOENT/);
    expect(ensuring).toThrow("gpg-2.4  (package gpg of Debian 13)");
    expect(ensuring).toThrow("sq-1  (package sq of Debian 13)");
    expect(ensuring).not.toThrow("sudo apt-get");
    expect(said[0]).toBe(`unpacking gpg-2.4 sq-1 into ${nextReleaseFolder(env)}`);
    expect(await readdir(join(folder, "cache"))).toEqual([]);
  },
);

test("without an apt-get they are named too", async () => {
  const env = await envWith(undefined);

  expect(() => ensurePrograms(env, () => undefined, WANTED)).toThrow("(package gpg of Debian 13)");
});

test("what was unpacked is of the next release, and runs beside the machine's own", async () => {
  const run = promisify(execFile);
  const first = async (name: string, argument: string) => {
    const { stdout, stderr } = await run(programPath(name), [argument]);
    return `${stdout}${stderr}`.split("\n")[0]; // sq says it where errors go
  };

  expect(await first("GPG24", "--version")).toMatch(/^gpg \(GnuPG\) 2\.4\./);
  expect(await first("SQ1", "version")).toMatch(/^sq 1\./);
  expect(programPath("GPG24")).not.toBe(programPath("GPG"));
});
