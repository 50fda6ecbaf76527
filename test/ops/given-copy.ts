import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

/** The files of the working tree as they are now, without those that git ignores. */
export async function copySources(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-checks-"));
  const { stdout } = await promisify(execFile)("git", ["ls-files", "-co", "--exclude-standard"]);
  for (const path of stdout.trimEnd().split("\n").filter(existsSync)) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await cp(path, join(folder, path));
  }
  await symlink(resolve("node_modules"), join(folder, "node_modules"));
  return folder;
}

/** Runs a script of package.json in a copy, as `make check` does. */
export async function check(
  copy: string,
  script: string,
): Promise<{ code: number; output: string }> {
  return new Promise((done) => {
    const child = execFile(
      "npm",
      ["run", "--silent", script],
      { cwd: copy },
      (_, stdout, stderr) => {
        done({ code: child.exitCode ?? -1, output: stdout + stderr });
      },
    );
  });
}
