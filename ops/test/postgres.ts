import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Account } from "./account.ts";
import { FOLDER_VARIABLE } from "./workspace.ts";
import { startServer, type ServerProcess } from "./server-process.ts";

/** Nothing here outlives the tests, so durability is traded for speed; `logical` lets tests look at the write-ahead log. */
const SETTINGS = [
  "listen_addresses=127.0.0.1",
  "fsync=off",
  "synchronous_commit=off",
  "full_page_writes=off",
  "max_connections=200",
  "shared_buffers=128MB",
  "wal_level=logical",
];

export interface PostgresPlace {
  readonly name: string;
  readonly workspace: string;
  /** Its own folder, empty before {@link initialisePostgres}. */
  readonly folder: string;
  readonly account: Account;
  readonly port: number;
}

export function postgresUrl(port: number, database = "postgres"): string {
  return `postgres://postgres@127.0.0.1:${port}/${database}`;
}

/** Makes an empty cluster in `folder`/data; anybody on this machine may connect as anybody. */
export async function initialisePostgres(initdb: string, place: PostgresPlace): Promise<void> {
  const args = ["-D", join(place.folder, "data"), "-U", "postgres", "-A", "trust", "--no-sync"];
  await promisify(execFile)(initdb, [...args, "-E", "UTF8", "--locale=C.UTF-8"], {
    ...place.account,
    cwd: place.folder,
    env: { PATH: process.env["PATH"], [FOLDER_VARIABLE]: place.workspace },
  });
}

/** Starts the server on an initialised cluster; its socket is in its folder, so that tests may use it too. */
export async function startPostgres(program: string, place: PostgresPlace): Promise<ServerProcess> {
  const data = join(place.folder, "data");
  // A killed server leaves its file behind, and its last line would pass for the new server's.
  rmSync(join(data, "postmaster.pid"), { force: true });
  const settings = SETTINGS.flatMap((setting) => ["-c", setting]);
  return startServer({
    ...place,
    name: place.name,
    program,
    args: ["-D", data, "-p", String(place.port), "-k", place.folder, ...settings],
    stopSignal: "SIGQUIT", // "immediate": kill -9 would leave its shared memory behind
    ready: () => saysReady(join(data, "postmaster.pid")),
  });
}

/** The eighth line of postmaster.pid is the server's state, padded with spaces; pg_ctl -w reads it too. */
function saysReady(pidFile: string): boolean {
  try {
    return readFileSync(pidFile, "utf8").split("\n")[7]?.trim() === "ready";
  } catch {
    return false; // not written yet
  }
}
