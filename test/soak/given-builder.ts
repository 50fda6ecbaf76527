import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, realpath, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { startServer } from "../../ops/test/server-process.ts";
import { placeEngine } from "../servers/namespace.ts";
import { programPath } from "../servers/unprivileged.ts";

const run = promisify(execFile);
const BASE = "node:24-bookworm-slim";
const MIRROR = "http://deb.debian.org/debian";
/** npm in the image trusts what this machine trusts: it may reach the registry by a proxy with a certificate of its own. */
const TRUSTED = "etc/ssl/certs/ca-certificates.crt";
const SLOW_MS = 600_000;

/** An engine that can build, with a stand-in of the image that ours begins with. */
export interface Builder {
  /** Runs `docker …`. @returns what it said @throws when it failed, with its words */
  readonly docker: (...args: readonly string[]) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/**
 * Starts a dockerd on this machine's own network, without bridges, and makes the base from Debian's packages and npm's Node: no
 * registry of images can be reached where this project is made.
 */
export async function startBuilder(): Promise<Builder> {
  const place = await placeEngine("builder", "builds images");
  const at = (name: string) => join(place.folder, name);
  const host = `unix://${at("engine.socket")}`;
  const docker = async (...args: readonly string[]) => {
    const env = { PATH: process.env["PATH"], DOCKER_HOST: host, DOCKER_BUILDKIT: "0" };
    const { stdout } = await run("/usr/bin/docker", args, { env, timeout: SLOW_MS });
    return stdout;
  };
  const server = await startServer({
    ...place,
    program: programPath("UNSHARE"), // with the first process ends whatever it has started
    args: [
      ...["--mount", "--mount-proc", "--pid", "--fork", "--kill-child=SIGKILL"],
      programPath("DOCKERD"),
      ...["-H", host, "--data-root", at("data"), "--exec-root", at("exec"), "--pidfile", at("pid")],
      ...["--bridge=none", "--iptables=false", "--ip6tables=false"],
    ],
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
    stopSignal: "SIGKILL",
    ready: async () =>
      docker("info").then(
        () => true,
        () => false,
      ),
  });
  try {
    await importBase(at("base"), host);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { docker, stop: () => server.stop() };
}

async function importBase(root: string, host: string): Promise<void> {
  const options = ["--variant=minbase", "--include=ca-certificates", "bookworm", root, MIRROR];
  await run("debootstrap", options, { timeout: SLOW_MS }).catch((error: unknown) => {
    throw new Error("no base was made; debootstrap must be there (apt-get install debootstrap)", {
      cause: error,
    });
  });
  await copyFile(join("/", TRUSTED), join(root, TRUSTED));
  const bin = join(root, "usr/local/bin");
  await copyFile(await realpath(process.execPath), join(bin, "node"));
  const { stdout } = await run("sh", ["-c", "readlink -f $(command -v npm)"]);
  const npm = dirname(dirname(stdout.trim()));
  await mkdir(join(root, "usr/local/lib/node_modules"), { recursive: true });
  await cp(npm, join(root, "usr/local/lib/node_modules/npm"), { recursive: true });
  await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(bin, "npm"));
  await run(
    "sh",
    [
      "-c",
      `tar -C "$1" -c . | docker import --change 'CMD ["node"]' --change "ENV NODE_EXTRA_CA_CERTS=/$2" - "$3"`,
      ...["sh", root, TRUSTED, BASE],
    ],
    { env: { PATH: process.env["PATH"], DOCKER_HOST: host }, timeout: SLOW_MS },
  );
}
