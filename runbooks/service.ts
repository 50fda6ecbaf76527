import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import { systemClock } from "../lib/clock.ts";
import { buildApp, listen } from "../lib/http.ts";
import { openJobs, type Jobs } from "../lib/jobs.ts";
import { buildService, type RunningService, type StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { isLoopbackHost } from "../lib/loopback.ts";
import { createRegistry } from "../lib/metrics.ts";
import { openDatabase, type Database } from "../lib/postgres.ts";
import { databaseReadiness } from "../lib/readiness.ts";
import { version } from "../lib/version.ts";
import { actionNames, actions } from "./actions/index.ts";
import { kubernetesCluster } from "./adapters/kubernetes.ts";
import { redisBreakerView } from "./adapters/redis.ts";
import { admitDelivery, admitWaitingEpisode, type AdmitDeps } from "./admit.ts";
import { loadCatalog } from "./catalog/load.ts";
import type { RunbooksConfig } from "./config.ts";
import { createRunbooksMetrics, type RunbooksMetrics } from "./metrics.ts";
import { parsePolicy } from "./policy.ts";
import { addRoutes } from "./routes.ts";
import { advanceRun } from "./run.ts";
import type { RunDeps } from "./steps/step.ts";
import { sweepUntil } from "./sweep.ts";
import type { Enqueue } from "./types.ts";

/** The catalogue that ships with Fettle, wherever it was started from. */
const PACKAGED_CATALOG = fileURLToPath(new URL("../ops/runbooks/runbooks.yaml", import.meta.url));
/** Past this the sender is asked to wait; Alertmanager repeats what it could not deliver. */
const INBOX_WAITING_MAX = 50_000;
/** After the last moment of an approval there must be time for the action itself. */
const ACTION_SECONDS = 900;

/** Builds the service's graph and starts it. What was started is stopped in the reverse order. */
export async function startRunbooks(config: RunbooksConfig, log: Log): Promise<RunningService> {
  return buildService(log, async (stack) => start(config, log, stack));
}

async function start(config: RunbooksConfig, log: Log, stack: StopStack): Promise<string> {
  const catalog = await loadCatalog(config.runbooksFile ?? PACKAGED_CATALOG);
  const registry = createRegistry("runbooks");
  const metrics = createRunbooksMetrics(registry);
  const database = openDatabase(
    { url: config.databaseUrl.reveal(), applicationName: "fettle-runbooks" },
    log,
  );
  stack.add("database", async () => database.close());
  const jobs = await openJobs(config.databaseUrl.reveal(), log);
  stack.add("jobs", async () => jobs.stop());
  const enqueue = enqueueWith(jobs);
  const breakerView = config.redisUrl && (await redisBreakerView(config.redisUrl, log));
  if (breakerView !== undefined) stack.add("redis", async () => breakerView.stop());

  const { cooldownSeconds, approvalSeconds } = config;
  const admitDeps = {
    database,
    log,
    enqueue,
    catalog,
    cluster: config.cluster,
    cooldownSeconds,
    deadlineSeconds: approvalSeconds + ACTION_SECONDS,
  };
  const runDeps = {
    ...policyDeps(config),
    database,
    enqueue,
    log,
    breakerView,
    moved: metrics.runMoved,
  };
  const waiting = await startWorkers({ database, jobs, log, metrics }, admitDeps, runDeps, stack);

  const readiness = async () => databaseReadiness(database);
  const app = buildApp({ service: "runbooks", log, registry, readiness }, (router) => {
    addRoutes(router, {
      credentials: credentialsOf(config, log),
      database,
      enqueue,
      clock: systemClock,
      inboxIsFull: () => waiting() > INBOX_WAITING_MAX,
      approvers: config.approvers,
      approvalSecret: config.approvalSecret,
      metrics,
    });
  });
  const server = await listen(app, config);
  stack.add("http", async () => server.stop());
  return server.url;
}

interface WorkerDeps {
  readonly database: Database;
  readonly jobs: Jobs;
  readonly log: Log;
  readonly metrics: RunbooksMetrics;
}

/** Starts those who take jobs, and the sweep behind them. Returns the number of deliveries that waited at the last sweep. */
async function startWorkers(
  { database, jobs, log, metrics }: WorkerDeps,
  admitDeps: AdmitDeps,
  runDeps: RunDeps,
  stack: StopStack,
): Promise<() => number> {
  const admit = async (inboxId: string) => admitDelivery(inboxId, admitDeps);
  const admitEpisode = async (episodeId: string) => admitWaitingEpisode(episodeId, admitDeps);
  const advance = async (runId: string) => advanceRun(runId, runDeps);
  await jobs.work<{ inboxId: string }>("runbooks-inbox", async ({ inboxId }) => admit(inboxId));
  await jobs.work<{ runId: string }>("runbooks-run", async ({ runId }) => advance(runId));

  let waiting = 0;
  const inboxWaiting = (deliveries: number) => {
    waiting = deliveries;
    metrics.inboxWaiting(deliveries);
  };
  const stopping = new AbortController();
  const sweeping = sweepUntil(stopping.signal, {
    database,
    clock: systemClock,
    log,
    admit,
    admitEpisode,
    advance,
    inboxWaiting,
  });
  stack.add("sweep", async () => {
    stopping.abort();
    await sweeping;
  });
  return () => waiting;
}

function policyDeps(
  config: RunbooksConfig,
): Omit<RunDeps, "database" | "enqueue" | "log" | "breakerView" | "moved"> {
  const policy = parsePolicy(config.policy, "env", actionNames);
  return {
    actions,
    cluster: kubernetesCluster(config.kubeconfig),
    policyFor: () => policy,
    switches: {
      enabled: config.enabled,
      dryRun: config.dryRun,
      requireApproval: config.requireApproval,
      approvers: config.approvers,
      limits: { hourly: config.maxHourly, daily: config.maxDaily },
    },
    approvalSeconds: config.approvalSeconds,
    verifySeconds: config.verifySeconds,
    leaseSeconds: config.leaseSeconds,
    owner: `${hostname()}-${process.pid}-${randomUUID()}`,
    codeVersion: version,
  };
}

function credentialsOf({ webhookToken, webhookSecret, host }: RunbooksConfig, log: Log) {
  const allowAnonymous =
    webhookToken === undefined && webhookSecret === undefined && isLoopbackHost(host);
  if (allowAnonymous)
    log.warn("no webhook credential is set: everybody on this machine can send alerts");
  return { token: webhookToken, hmacKey: webhookSecret ?? webhookToken, allowAnonymous };
}

export function enqueueWith(jobs: Pick<Jobs, "send">): Enqueue {
  return async (tx, queue, data) => jobs.send(tx, queue, data);
}
