import { join } from "node:path";
import { unprivilegedAccount } from "./account.ts";
import { exitCodeOf, runCommand, watchInterruption } from "./command.ts";
import { ensurePrograms } from "./ensure.ts";
import { claimPort } from "./ports.ts";
import { initialisePostgres, postgresUrl, startPostgres } from "./postgres.ts";
import type { Search } from "./programs.ts";
import { redisUrl, startRedis } from "./redis.ts";
import { sweep, sweepAbandoned } from "./sweep.ts";
import { startWatchdog } from "./watchdog.ts";
import {
  createServerFolder,
  createWorkspace,
  FOLDER_VARIABLE,
  livingServers,
} from "./workspace.ts";

/**
 * Starts PostgreSQL and Redis, runs the command with their addresses in its environment, and stops everything that
 * was started meanwhile, however the command or we end.
 *
 * @returns the command's exit code
 */
export async function runWithServices(
  command: readonly string[],
  notice: (line: string) => void,
): Promise<number> {
  const programs = ensurePrograms(process.env, notice);
  await sweepAbandoned();
  const interruption = watchInterruption();
  const workspace = await createWorkspace(unprivilegedAccount());
  const watchdog = startWatchdog(workspace);
  try {
    const started = startShared(programs, workspace);
    const env = await Promise.race([started, interruption.happened]);
    if (typeof env === "string") return exitCodeOf(env);
    const code = await runCommand(command, { ...process.env, ...env }, interruption);
    reportForgotten(workspace, notice);
    return code;
  } finally {
    await sweep(workspace);
    watchdog.callOff();
    interruption.release();
  }
}

/** The variables that test/servers/ and test/setup/ read. */
async function startShared(
  programs: Search["found"],
  workspace: string,
): Promise<Record<string, string>> {
  const [postgres, redis] = await Promise.all([
    startSharedPostgres(programs, workspace),
    startSharedRedis(programs, workspace),
  ]);
  const binaries = Object.entries(programs).map(([name, path]) => [
    `FETTLE_TEST_BIN_${name}`,
    path,
  ]);
  return {
    [FOLDER_VARIABLE]: workspace,
    // Hundreds of processes of our own load the same modules: half of a start's CPU time (0.7 s of 1.4 s, measured).
    NODE_COMPILE_CACHE: join(workspace, "compile-cache"),
    FETTLE_TEST_POSTGRES_URL: postgres,
    FETTLE_TEST_REDIS_URL: redis,
    ...(Object.fromEntries(binaries) as Record<string, string>),
  };
}

async function startSharedPostgres(programs: Search["found"], workspace: string): Promise<string> {
  const place = await sharedPlace(workspace, "shared-postgres");
  await initialisePostgres(programs["INITDB"] ?? "", place);
  await startPostgres(programs["POSTGRES"] ?? "", place);
  return postgresUrl(place.port);
}

async function startSharedRedis(programs: Search["found"], workspace: string): Promise<string> {
  const place = await sharedPlace(workspace, "shared-redis");
  await startRedis(programs["REDIS_SERVER"] ?? "", place);
  return redisUrl(place.port);
}

async function sharedPlace(workspace: string, name: string) {
  const account = unprivilegedAccount();
  const folder = await createServerFolder(workspace, name, account);
  return { workspace, folder, account, port: await claimPort(workspace), name };
}

/** A test that does not stop its server slows the next one down; it is stopped all the same. */
function reportForgotten(workspace: string, notice: (line: string) => void): void {
  const forgotten = livingServers(workspace).filter(({ name }) => !name.startsWith("shared-"));
  for (const {
    name,
    process: { pid },
  } of forgotten) {
    notice(`a test left ${name} running (process ${pid})`);
  }
}
