import { PgBoss, type SendOptions } from "pg-boss";
import type { Log } from "./log.ts";
import type { Queryable } from "./postgres.ts";

/** The durable queue: a job that is sent in a transaction exists if, and only if, that transaction commits. */
export interface Jobs {
  send(tx: Queryable, queue: string, data: object): Promise<void>;
  /** As {@link send}, in one statement for all; nothing to do for none. */
  sendAll(tx: Queryable, queue: string, data: readonly object[]): Promise<void>;
  /**
   * Runs `handler` for each job; an error gives the job back for a later try. Handlers are idempotent: a job can come twice.
   *
   * @param options.slots how many at once; 8 when left out
   */
  work<Data extends object>(
    queue: string,
    handler: (data: Data) => Promise<void>,
    options?: { readonly slots?: number },
  ): Promise<void>;
  stop(): Promise<void>;
}

/** 0.5 s is the smallest interval of pg-boss 12; each of the slots takes one job at a time, so a slow job blocks no other. */
const POLL_SECONDS = 0.5;
const CONCURRENT_JOBS = 8;
/** The smallest heartbeat of pg-boss 12: a job of a killed worker is given away after it (measured: 9.2 s). */
const HEARTBEAT_SECONDS = 10;

const QUEUE_OPTIONS = {
  retryLimit: 50,
  retryDelay: 1,
  retryBackoff: true,
  retryDelayMax: 30,
  heartbeatSeconds: HEARTBEAT_SECONDS,
  expireInSeconds: 15 * 60,
} as const;

/** Creates the job engine's schema and the queues; part of `fettle migrate`, as it needs the right to create tables. */
export async function installJobs(url: string, queues: readonly string[]): Promise<void> {
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
  boss.on("error", () => undefined); // the call that failed rejects as well
  await boss.start();
  for (const queue of queues) await boss.createQueue(queue, QUEUE_OPTIONS);
  await boss.stop({ graceful: false });
}

/**
 * Connects to the job engine, which `installJobs` has made.
 *
 * @param options.sendOnly for a command that ends soon: it does not look after other workers' jobs
 */
export async function openJobs(
  url: string,
  log: Log,
  options: { readonly sendOnly?: boolean } = {},
): Promise<Jobs> {
  const boss = new PgBoss({
    connectionString: url,
    application_name: "fettle-jobs",
    max: 4,
    migrate: false,
    createSchema: false,
    schedule: false,
    supervise: options.sendOnly !== true,
    superviseIntervalSeconds: 2, // finds the jobs of killed workers; the default of 60 s is too slow for an incident
    monitorIntervalSeconds: 2,
  });
  boss.on("error", (error) => {
    log.warn("job engine error", { error });
  });
  await boss.start();
  return {
    send: async (tx, queue, data) => {
      await boss.send(queue, data, { db: inTransactionOf(tx) });
    },
    sendAll: async (tx, queue, all) => {
      if (all.length === 0) return;
      const jobs = all.map((data) => ({ data }));
      await boss.insert(queue, jobs, { db: inTransactionOf(tx) });
    },
    work: async <Data extends object>(
      queue: string,
      handler: (data: Data) => Promise<void>,
      { slots = CONCURRENT_JOBS } = {},
    ) => {
      const options = {
        pollingIntervalSeconds: POLL_SECONDS,
        batchSize: 1,
        localConcurrency: slots,
      } as const;
      await boss.work<Data>(queue, options, async (jobs) => {
        for (const { data } of jobs) {
          await handler(data).catch((error: unknown) => {
            log.warn("job failed, will be tried again", { queue, error });
            throw error;
          });
        }
      });
    },
    stop: async () => boss.stop({ graceful: true, timeout: 5_000 }),
  };
}

function inTransactionOf(tx: Queryable): NonNullable<SendOptions["db"]> {
  return { executeSql: async (sql, values) => tx.query(sql, values ?? []) };
}
