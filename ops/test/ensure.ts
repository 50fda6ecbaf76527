import { spawnSync } from "node:child_process";
import { nextReleaseFolder, unpackNextRelease } from "./next-release.ts";
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
  if (aptGet === undefined) throw missing(before);
  const failures = [
    installOurs(before, aptGet, env, notice),
    unpackNext(before, aptGet, env, notice),
  ];

  const after = searchPrograms(searchFolders(env), only);
  if (after.missing.length > 0) throw missing(after, failures.filter(Boolean).join("\n"));
  return after.found;
}

function installOurs(
  search: Search,
  aptGet: string,
  env: NodeJS.ProcessEnv,
  notice: (line: string) => void,
): string | undefined {
  const packages = packagesOf(search);
  if (packages.length === 0) return undefined;
  if (process.getuid?.() !== 0) throw missing(search);
  notice(`installing ${packages.join(" ")}`);
  return install(aptGet, packages, env);
}

function unpackNext(
  search: Search,
  aptGet: string,
  env: NodeJS.ProcessEnv,
  notice: (line: string) => void,
): string | undefined {
  const wanted = search.missing.filter(({ isNext }) => isNext === true);
  if (wanted.length === 0) return undefined;
  const folder = nextReleaseFolder(env);
  notice(`unpacking ${wanted.map(({ name }) => name).join(" ")} into ${folder}`);
  return unpackNextRelease(env, aptGet);
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
  const list = search.missing.map(
    ({ name, package: from, isNext }) =>
      `  ${name}  (package ${from}${isNext === true ? " of Debian 13" : ""})`,
  );
  const packages = packagesOf(search);
  const command = ["install", "-y", "--no-install-recommends", ...packages].join(" ");
  return new MissingProgramsError(
    [
      ...(failure === "" ? [] : [failure]),
      "The tests need programs that are not here:",
      ...list,
      ...(packages.length === 0
        ? []
        : [
            "Install them on Debian or Ubuntu with:",
            `  sudo apt-get update && sudo apt-get ${command}`,
          ]),
      ...(search.missing.some(({ isNext }) => isNext === true)
        ? [
            "Those of Debian 13 are unpacked by the tests themselves, with apt-get and dpkg-deb, from http://deb.debian.org.",
          ]
        : []),
    ].join("\n"),
  );
}

/** Those that are to be installed. */
function packagesOf(search: Search): readonly string[] {
  const ours = search.missing.filter(({ isNext }) => isNext !== true);
  return [...new Set(ours.map((each) => each.package))];
}
