import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { readProcess } from "./processes.ts";

/**
 * Programs of Debian 13 beside those of the machine: what recipients of our files may have is newer than what Debian 12 brings.
 * They are unpacked into a folder of their own, with their libraries and their loader, and never installed.
 */
const RELEASE = "trixie";
const SOURCE = `http://deb.debian.org/debian ${RELEASE} main`;
/** apt checks the index by it, and by the index each package. */
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const PACKAGES = ["gpg", "gpg-agent", "sq"];
/** What they depend on without needing it here: nobody types a passphrase, and OpenSSL's old ciphers are not used. */
const LEFT_OUT =
  /^(init-system-helpers|readline-common|gcc-\d+-base|pinentry-.*|libncursesw6|openssl-provider-legacy)$/;

/** The name that tests know each by, and what it is there. */
const PROGRAMS = [
  {
    name: "gpg-2.4",
    program: "gpg",
    options: (bin: string) => `--agent-program=${bin}/gpg-agent-2.4`,
  },
  { name: "gpg-agent-2.4", program: "gpg-agent", options: () => "" },
  { name: "sq-1", program: "sq", options: () => "" },
];

/** Long enough for a slow mirror. */
const TIMEOUT_MS = 10 * 60_000;
const OUTPUT_TAIL_CHARACTERS = 1_000;

/** Where the programs of the next release are, or will be: in FETTLE_TEST_CACHE, else where caches are. */
export function nextReleaseFolder(env: NodeJS.ProcessEnv): string {
  const cache =
    process.getuid?.() === 0 ? "/var/cache" : (env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"));
  return join(env["FETTLE_TEST_CACHE"] ?? join(cache, "fettle-test"), RELEASE);
}

/**
 * Downloads the packages (17 MB, and the index that their signatures hang on) and unpacks them. Needs apt-get and the network,
 * but not root. A folder that is there is whole: it gets its name at the end.
 *
 * @returns why it could not be done; undefined: it is done
 */
export function unpackNextRelease(env: NodeJS.ProcessEnv, aptGet: string): string | undefined {
  const folder = nextReleaseFolder(env);
  if (!existsSync(KEYRING)) return `${KEYRING} is missing (package debian-archive-keyring)`;
  try {
    mkdirSync(dirname(folder), { recursive: true });
    removeLeftovers(folder);
    const beside = `${folder}.${process.pid}`;
    try {
      unpack(beside, folder, env, aptGet);
      rmSync(folder, { recursive: true, force: true }); // one whose programs do not run
      renameSync(beside, folder);
    } finally {
      rmSync(beside, { recursive: true, force: true });
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function unpack(beside: string, folder: string, env: NodeJS.ProcessEnv, aptGet: string): void {
  const state = join(beside, "apt");
  for (const place of ["lists/partial", "archives/partial", "packages"])
    mkdirSync(join(state, place), { recursive: true });
  writeFileSync(join(state, "sources.list"), `deb [signed-by=${KEYRING}] ${SOURCE}\n`);
  writeFileSync(join(state, "status"), "");
  const options = Object.entries({
    "Dir::Etc::SourceList": join(state, "sources.list"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::State::Lists": join(state, "lists"),
    "Dir::State::Status": join(state, "status"),
    "Dir::Cache": state,
    "APT::Install-Recommends": "false",
    "APT::Sandbox::User": "",
    "Debug::NoLocking": "true",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const apt = (...args: readonly string[]) =>
    run(aptGet, [...options, ...args], { env, cwd: join(state, "packages") });
  apt("update", "--error-on=any");
  apt("download", ...packagesIn(apt("install", "--print-uris", "--yes", ...PACKAGES)));
  for (const file of readdirSync(join(state, "packages")))
    run("dpkg-deb", ["-x", join(state, "packages", file), beside], { env });
  rmSync(state, { recursive: true });
  writeWrappers(beside, folder);
}

/** Of lines like `'http://…/gpg_2.4.7_amd64.deb' gpg_2.4.7_amd64.deb 636212 SHA256:…`. */
function packagesIn(listing: string): readonly string[] {
  return listing
    .split("\n")
    .filter((line) => line.startsWith("'"))
    .map((line) => /^'[^']*' ([^_]+)_/.exec(line)?.[1] ?? "")
    .filter((name) => !LEFT_OUT.test(name));
}

/** The programs need their own loader: the machine's C library is older than what they were linked to. */
function writeWrappers(beside: string, folder: string): void {
  const parent = join(beside, "usr/lib");
  const found = readdirSync(parent).flatMap((tuple) =>
    tuple.endsWith("-linux-gnu")
      ? readdirSync(join(parent, tuple)).map((file) => join(tuple, file))
      : [],
  );
  const loader = found.find((file) => /^ld-linux.*\.so\.\d+$/.test(basename(file)));
  if (loader === undefined) throw new Error(`no loader among the packages of ${RELEASE}`);
  const libraries = join(folder, "usr/lib", dirname(loader));
  const bin = join(folder, "bin");
  mkdirSync(join(beside, "bin"));
  for (const { name, program, options } of PROGRAMS) {
    const start = `"${join(folder, "usr/lib", loader)}" --library-path "${libraries}" "${join(folder, "usr/bin", program)}"`;
    const path = join(beside, "bin", name);
    writeFileSync(path, `#!/bin/sh\nexec ${start} ${options(bin)} "$@"\n`);
    chmodSync(path, 0o755);
  }
}

/** Of runs that were killed while they unpacked. */
function removeLeftovers(folder: string): void {
  for (const name of readdirSync(dirname(folder))) {
    const [, pid] = /^\w+\.(\d+)$/.exec(name) ?? [];
    if (pid === undefined || readProcess(Number(pid)) !== undefined) continue;
    rmSync(join(dirname(folder), name), { recursive: true, force: true });
  }
}

function run(
  program: string,
  args: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly cwd?: string },
): string {
  const env = { ...options.env, LC_ALL: "C" };
  const result = spawnSync(program, args, {
    ...options,
    env,
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
  if (result.status === 0) return result.stdout;
  const said = `${result.error?.message ?? ""}${result.stdout}${result.stderr}`;
  throw new Error(`${basename(program)}: ${said.trim().slice(-OUTPUT_TAIL_CHARACTERS)}`);
}
