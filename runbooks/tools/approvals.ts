import type { Environment } from "../../lib/config.ts";
import { openJobs } from "../../lib/jobs.ts";
import type { Log } from "../../lib/log.ts";
import type { AnswerOutcome } from "../approval/answer.ts";
import { enqueueWith } from "../enqueue.ts";
import { answerRun, approvalLinks } from "../operations.ts";
import { withDatabase } from "./with-database.ts";

interface RunAnswer {
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
