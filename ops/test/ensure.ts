import { spawnSync } from "node:child_process";
import { findExecutable, searchFolders, searchPrograms, type Search } from "./programs.ts";

/** Long enough for a slow mirror; short enough that a stuck one is noticed. */
const INSTALL_TIMEOUT_MS = 10 * 60_000;
const OUTPUT_TAIL_CHARACTERS = 3_000;

/** A needed program is not there and could not be installed. The message says what to do. */
export class MissingProgramsError extends Error {
  override readonly name = "MissingProgramsError";
}

/**
 * Finds every program that the tests need; installs what is missing when we are root and apt-get is there.
 *
 * @param notice told before something takes long
 * @param only the variables of those that are wanted; all when left out
 * @throws MissingProgramsError naming each missing program and the command that installs it
 */
export function ensurePrograms(
  env: NodeJS.ProcessEnv,
  notice: (line: string) => void,
  only?: readonly string[],
): Search["found"] {
  const folders = searchFolders(env);
  const before = searchPrograms(folders, only);
  if (before.missing.length === 0) return before.found;

  const aptGet = findExecutable("apt-get", folders);
  if (aptGet === undefined || process.getuid?.() !== 0) throw missing(before);
  const packages = packagesOf(before);
  notice(`installing ${packages.join(" ")}`);
  const failure = install(aptGet, packages, env);

  const after = searchPrograms(searchFolders(env), only);
  if (after.missing.length > 0) throw missing(after, failure);
  return after.found;
}

function install(aptGet: string, packages: readonly string[], env: NodeJS.ProcessEnv): string {
  const run = (args: readonly string[]) =>
    spawnSync(aptGet, ["-o", "DPkg::Lock::Timeout=120", ...args], {
      env: { ...env, DEBIAN_FRONTEND: "noninteractive" },
      encoding: "utf8",
      timeout: INSTALL_TIMEOUT_MS,
    });
  // A failing update is not the end: one unreachable third-party source fails it, and the old lists may do.
  const results = [run(["update"]), run(["install", "-y", "--no-install-recommends", ...packages])];
  return results
    .filter(({ status }) => status !== 0)
    .map(({ stdout, stderr, error }) => `${error?.message ?? ""}${stdout}${stderr}`)
    .join("\n")
    .slice(-OUTPUT_TAIL_CHARACTERS);
}

function missing(search: Search, failure = ""): MissingProgramsError {
  const list = search.missing.map((each) => `  ${each.name}  (package ${each.package})`);
  const command = ["install", "-y", "--no-install-recommends", ...packagesOf(search)].join(" ");
  return new MissingProgramsError(
    [
      ...(failure === "" ? [] : [failure]),
      "The tests need programs that are not here:",
      ...list,
      "Install them on Debian or Ubuntu with:",
      `  sudo apt-get update && sudo apt-get ${command}`,
    ].join("\n"),
  );
}

function packagesOf(search: Search): readonly string[] {
  return [...new Set(search.missing.map((each) => each.package))];
}
