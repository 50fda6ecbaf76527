import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { placeEngine } from "./namespace.ts";

const run = promisify(execFile);

/** 10 MB of lists, then the packages. */
const FETCH_TIMEOUT_MS = 300_000;

const SOURCE = `Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;

/**
 * Fetches packages of Debian 13 by apt, which checks their signatures, and unpacks them. Nothing is installed: apt works in a
 * folder of its own and knows nothing of the machine's packages.
 *
 * @returns the folder with their `usr`, which goes with the run
 */
export async function fetchPackages(name: string, packages: readonly string[]): Promise<string> {
  const { folder } = await placeEngine(name, "is fetched by apt");
  for (const each of ["lists/partial", "archives/partial", "tree"])
    await mkdir(join(folder, each), { recursive: true });
  await writeFile(join(folder, "status"), "");
  await writeFile(join(folder, "trixie.sources"), SOURCE);
  await writeFile(join(folder, "apt.conf"), configuration(folder));
  const options = {
    cwd: join(folder, "archives"),
    env: { PATH: process.env["PATH"], APT_CONFIG: join(folder, "apt.conf") },
    timeout: FETCH_TIMEOUT_MS,
  };
  await run("apt-get", ["-qq", "update"], options);
  await run("apt-get", ["-qq", "download", ...packages], options);
  const files = await readdir(options.cwd);
  for (const file of files.filter((each) => each.endsWith(".deb")))
    await run("dpkg-deb", ["-x", file, join(folder, "tree")], options);
  return join(folder, "tree");
}

function configuration(folder: string): string {
  return `Dir::State "${folder}";
Dir::State::status "${folder}/status";
Dir::Cache "${folder}";
Dir::Etc::sourcelist "${folder}/trixie.sources";
Dir::Etc::sourceparts "/dev/null";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
`;
}
