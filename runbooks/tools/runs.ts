import type { Environment } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import { listRuns, showRun, type RunDetail, type RunSummary } from "../operations.ts";
import { withDatabase } from "./with-database.ts";

/** The newest runs, for `fettle runs`. */
export async function runs(
  env: Environment,
  limit: number,
  log: Log,
): Promise<readonly RunSummary[]> {
  return withDatabase(env, log, async (database) => listRuns(database, limit));
}

/** One run with its record; undefined when there is none. */
export async function run(env: Environment, id: string, log: Log): Promise<RunDetail | undefined> {
  return withDatabase(env, log, async (database) => showRun(database, id));
}
