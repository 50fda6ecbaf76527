import { openJobs } from "../lib/jobs.ts";
import type { Log } from "../lib/log.ts";
import { openDatabase, type Database } from "../lib/postgres.ts";
import type { Environment } from "../lib/config.ts";
import { runAlone } from "../lib/run-alone.ts";
import type { AnswerOutcome } from "./approve.ts";
import { readRunbooksConfig, type RunbooksConfig } from "./config.ts";
import {
  answerRun,
  approvalLinks,
  listRuns,
  showRun,
  type RunDetail,
  type RunSummary,
} from "./operations.ts";
import { enqueueWith, startRunbooks } from "./service.ts";

export { readRunbooksConfig, shape as runbooksVariables } from "./config.ts";
export { startRunbooks } from "./service.ts";
export type { RunDetail, RunSummary } from "./operations.ts";

/** `fettle runbooks`: receives alerts and remediates until it is told to stop. */
export async function runRunbooks(env: Environment): Promise<number> {
  return runAlone("runbooks", readRunbooksConfig(env), env, startRunbooks);
}

export interface RunAnswer {
  readonly runId: string;
  readonly verdict: "approved" | "rejected";
  readonly by: string;
  readonly via: "cli" | "terminal";
  readonly reason: string | undefined;
}

/** `fettle approve|reject`: whoever may read the database's password answers in the name given, if that may approve. */
export async function answer(
  env: Environment,
  request: RunAnswer,
  log: Log,
): Promise<AnswerOutcome> {
  return withDatabase(env, log, async (database, config) => {
    const jobs = await openJobs(config.databaseUrl.reveal(), log, { sendOnly: true });
    try {
      return await answerRun(request, config.approvers, { database, enqueue: enqueueWith(jobs) });
    } finally {
      await jobs.stop();
    }
  });
}

export async function runs(
  env: Environment,
  limit: number,
  log: Log,
): Promise<readonly RunSummary[]> {
  return withDatabase(env, log, async (database) => listRuns(database, limit));
}

export async function run(env: Environment, id: string, log: Log): Promise<RunDetail | undefined> {
  return withDatabase(env, log, async (database) => showRun(database, id));
}

/** The approvers' links of a waiting run; undefined when there is no secret to make them with. */
export async function links(
  env: Environment,
  runId: string,
  log: Log,
): Promise<Awaited<ReturnType<typeof approvalLinks>> | undefined> {
  return withDatabase(
    env,
    log,
    async (database, { approvers, approvalSecret: secret, publicUrl, host, port }) => {
      if (secret === undefined) return undefined;
      return approvalLinks(runId, {
        database,
        approvers,
        secret,
        url: publicUrl ?? `http://${host}:${port}`,
      });
    },
  );
}

async function withDatabase<T>(
  env: Environment,
  log: Log,
  work: (database: Database, config: RunbooksConfig) => Promise<T>,
): Promise<T> {
  const config = readRunbooksConfig(env);
  const database = openDatabase(
    { url: config.databaseUrl.reveal(), applicationName: "fettle-cli", max: 2 },
    log,
  );
  try {
    return await work(database, config);
  } finally {
    await database.close();
  }
}
