import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { nextReleaseFolder } from "./next-release.ts";

/** One program that the tests need. `variable` is how they are told where it is: FETTLE_TEST_BIN_<variable>. */
interface Program {
  readonly variable: string;
  /** The first name that exists wins: Debian's names come after upstream's. */
  readonly names: readonly string[];
  /** The Debian package that brings it. */
  readonly package: string;
  /** It is Debian's next release that has it; see next-release.ts. */
  readonly isNext?: true;
  /** Arguments with which it must succeed to count as found. */
  readonly probe?: readonly string[];
  /** Searched before everything else. */
  readonly folder?: string;
}

const PROGRAMS: readonly Program[] = [
  { variable: "POSTGRES", names: ["postgres"], package: "postgresql" },
  { variable: "INITDB", names: ["initdb"], package: "postgresql" },
  { variable: "PSQL", names: ["psql"], package: "postgresql-client" },
  { variable: "PG_DUMP", names: ["pg_dump"], package: "postgresql-client" },
  { variable: "PG_RESTORE", names: ["pg_restore"], package: "postgresql-client" },
  { variable: "REDIS_SERVER", names: ["redis-server"], package: "redis-server" },
  { variable: "PROMETHEUS", names: ["prometheus"], package: "prometheus" },
  { variable: "PROMTOOL", names: ["promtool"], package: "prometheus" },
  {
    variable: "ALERTMANAGER",
    names: ["alertmanager", "prometheus-alertmanager"],
    package: "prometheus-alertmanager",
  },
  { variable: "AMTOOL", names: ["amtool"], package: "prometheus-alertmanager" },
  { variable: "SSHD", names: ["sshd"], package: "openssh-server" },
  { variable: "SSH_KEYGEN", names: ["ssh-keygen"], package: "openssh-server" },
  { variable: "GPG", names: ["gpg"], package: "gnupg" },
  { variable: "SQ", names: ["sq"], package: "sq" },
  { variable: "GPG24", names: ["gpg-2.4"], package: "gpg", isNext: true, probe: ["--version"] },
  { variable: "SQ1", names: ["sq-1"], package: "sq", isNext: true, probe: ["version"] },
  { variable: "GPGCONF", names: ["gpgconf"], package: "gnupg" },
  { variable: "ZSTD", names: ["zstd"], package: "zstd" },
  { variable: "JQ", names: ["jq"], package: "jq" },
  { variable: "OPENSSL", names: ["openssl"], package: "openssl" },
  { variable: "CHROMIUM", names: ["chromium"], package: "chromium" },
  // Engines of containers, and what they call: without nft a killed LXD cannot make its bridge again.
  { variable: "UNSHARE", names: ["unshare"], package: "util-linux" },
  { variable: "NSENTER", names: ["nsenter"], package: "util-linux" },
  { variable: "BUSYBOX", names: ["busybox"], package: "busybox-static" },
  { variable: "LXD", names: ["lxd"], package: "lxd" },
  { variable: "NFT", names: ["nft"], package: "nftables" },
  { variable: "DNSMASQ", names: ["dnsmasq"], package: "dnsmasq-base" },
  { variable: "DOCKERD", names: ["dockerd"], package: "docker.io" },
  { variable: "IPTABLES", names: ["iptables"], package: "iptables" },
  { variable: "PODMAN", names: ["podman"], package: "podman" },
  { variable: "RUNC", names: ["runc"], package: "runc" },
  { variable: "NETAVARK", names: ["netavark"], package: "netavark" },
  {
    variable: "PYTHON",
    names: ["python3"],
    package: "python3-cryptography",
    probe: ["-c", "import cryptography"],
    folder: "/usr/bin", // Debian's package serves Debian's Python, not one from pyenv that comes first on PATH
  },
];

export interface Search {
  /** Path of each program by its variable. */
  readonly found: Readonly<Record<string, string>>;
  readonly missing: readonly Missing[];
}

interface Missing extends Pick<Program, "package" | "isNext"> {
  readonly name: string;
}

/** Looks for every needed program on `folders`, or only for those whose variable is in `only`. */
export function searchPrograms(folders: readonly string[], only?: readonly string[]): Search {
  const found: Record<string, string> = {};
  const missing: Missing[] = [];
  for (const program of PROGRAMS) {
    if (only?.includes(program.variable) === false) continue;
    const path = locate(program, folders);
    if (path === undefined) missing.push({ ...program, name: program.names.join("|") });
    else found[program.variable] = path;
  }
  return { found, missing };
}

/** The folders of FETTLE_TEST_SEARCH_PATH when that is set (and then no others), else PATH and where Debian puts servers. */
export function searchFolders(env: NodeJS.ProcessEnv): readonly string[] {
  const only = env["FETTLE_TEST_SEARCH_PATH"];
  if (only !== undefined) return only.split(delimiter);
  const path = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const debian = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/usr/lib/podman"];
  return [...path, ...postgresqlFolders(), ...debian, join(nextReleaseFolder(env), "bin")];
}

/** The path of an executable of this name, or undefined. */
export function findExecutable(name: string, folders: readonly string[]): string | undefined {
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function locate({ names, probe, folder }: Program, folders: readonly string[]): string | undefined {
  const first = folder !== undefined && folders.includes(folder) ? [folder] : [];
  return [...first, ...folders]
    .flatMap((place) => names.map((name) => join(place, name)))
    .find((path) => isExecutable(path) && (probe === undefined || succeeds(path, probe)));
}

/** Debian keeps the servers of each major version off PATH; the newest comes first. */
function postgresqlFolders(): readonly string[] {
  const parent = "/usr/lib/postgresql";
  if (!existsSync(parent)) return [];
  const newestFirst = readdirSync(parent).sort((a, b) => Number(b) - Number(a));
  return newestFirst.map((version) => join(parent, version, "bin"));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function succeeds(path: string, args: readonly string[]): boolean {
  try {
    execFileSync(path, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
