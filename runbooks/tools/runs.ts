import type { Environment } from "../../lib/config.ts";
import { openJobs } from "../../lib/jobs.ts";
import type { Log } from "../../lib/log.ts";
import { isUnavailable } from "../../lib/postgres.ts";
import { cancelRun, type CancelOutcome, type CancelRequest } from "../cancel-run.ts";
import { enqueueWith } from "../enqueue.ts";
import { findEvents, listRuns, showRun, type RunDetail, type RunSummary } from "../operations.ts";
import { findApprovals, type ApprovalListed } from "../pages/facts/find-approvals.ts";
import { findRuns, runFilterSchema, type RunListed } from "../pages/facts/find-runs.ts";
import { retryRun, type RetryOutcome, type RetryRequest } from "../retry-run.ts";
import { readOptions } from "./read-options.ts";
import { withDatabase } from "./with-database.ts";

/** The newest runs, for `fettle runs`. */
export async function runs(
  env: Environment,
  limit: number,
  log: Log,
): Promise<readonly RunSummary[]> {
  return withDatabase(env, log, async (database) => listRuns(database, limit));
}

/** What `fettle runs ls` may be asked for; as the page's filters, without its pages. */
export interface RunQuery {
  readonly limit: number;
  readonly from: Date | undefined;
  readonly to: Date | undefined;
  readonly state?: string | undefined;
  readonly namespace?: string | undefined;
  readonly app?: string | undefined;
  readonly runbook?: string | undefined;
}

/** `fettle runs ls`, the newest first. @throws RangeError that names the option */
export async function runList(
  env: Environment,
  { limit, from, to, ...texts }: RunQuery,
  log: Log,
): Promise<readonly RunListed[]> {
  const filter = readOptions(runFilterSchema, texts);
  return withDatabase(env, log, async (database) => {
    return (await findRuns({ ...filter, limit, from, to }, database)).runs;
  });
}

/** One run with its record; undefined when there is none. */
export async function run(env: Environment, id: string, log: Log): Promise<RunDetail | undefined> {
  return withDatabase(env, log, async (database) => showRun(database, id));
}

/** A database that restarts is waited for. */
const LOOKS_MISSED_MAX = 60;

/** What `fettle runs watch` tells, one by one. */
export interface RunEvent {
  readonly ts: Date;
  readonly event: string;
  readonly actor: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * `fettle runs watch`: the events of a run, those that were there first, until it has ended.
 *
 * @returns its last state; undefined when there is no such run
 */
export async function watchRun(
  env: Environment,
  {
    id,
    tell,
    sleep,
  }: {
    readonly id: string;
    readonly tell: (event: RunEvent) => void;
    /** Waits until the next look; rejects when it is enough. */
    readonly sleep: () => Promise<void>;
  },
  log: Log,
): Promise<Pick<RunSummary, "id" | "state" | "outcome"> | undefined> {
  return withDatabase(env, log, async (database) => {
    let last = "0";
    let failures = 0;
    for (;;) {
      try {
        const found = await findEvents(database, id, last);
        if (found === undefined) return undefined;
        for (const event of found.events) tell(event);
        last = found.events.at(-1)?.id ?? last;
        if (found.over) return found.run;
        failures = 0;
      } catch (error) {
        failures += 1;
        if (!isUnavailable(error) || failures > LOOKS_MISSED_MAX) throw error;
      }
      await sleep();
    }
  });
}

/** `fettle runs cancel` */
export async function cancel(
  env: Environment,
  request: CancelRequest,
  log: Log,
): Promise<CancelOutcome> {
  return withDatabase(env, log, async (database) => cancelRun(request, { database }));
}

/** `fettle runs retry` */
export async function retry(
  env: Environment,
  request: RetryRequest,
  log: Log,
): Promise<RetryOutcome> {
  return withDatabase(env, log, async (database, { databaseUrl, approvers }) => {
    const jobs = await openJobs(databaseUrl.reveal(), log, { sendOnly: true });
    try {
      return await retryRun(request, { database, enqueue: enqueueWith(jobs), approvers });
    } finally {
      await jobs.stop();
    }
  });
}

/** `fettle approvals ls`: what waits for an answer, or was decided last. */
export async function approvalList(
  env: Environment,
  query: { readonly state: "pending" | "decided"; readonly limit: number },
  log: Log,
): Promise<readonly Omit<ApprovalListed, "cursor">[]> {
  return withDatabase(env, log, async (database) => {
    const { approvals } = await findApprovals(query, database);
    return approvals.map((approval) => ({ ...approval, cursor: undefined }));
  });
}
