import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import type { Registry } from "prom-client";
import { systemClock } from "../lib/clock.ts";
import { failpoint } from "../lib/failpoint.ts";
import { buildApp, listen, type Readiness } from "../lib/http.ts";
import { openJobs, type Jobs } from "../lib/jobs.ts";
import { buildService, type RunningService, type StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { createRegistry } from "../lib/metrics.ts";
import { openDatabase, type Database } from "../lib/postgres.ts";
import { version } from "../lib/version.ts";
import { actionsWith } from "./actions/index.ts";
import { storedEpisodes } from "./adapters/alert-history/episodes.ts";
import { openChannels } from "./adapters/channels/open.ts";
import { alertmanagerAlerts } from "./adapters/alertmanager.ts";
import { collectorPorts } from "./adapters/collector/open.ts";
import { openHypervisor } from "./adapters/hypervisor.ts";
import { kubernetesCluster } from "./adapters/kubernetes/actions.ts";
import { policyConfigMap } from "./adapters/kubernetes/config-map.ts";
import { connectKubernetes, type Kubernetes } from "./adapters/kubernetes/connect.ts";
import { openOutboxTable } from "./adapters/outbox-table.ts";
import { kubernetesCensus } from "./adapters/kubernetes/preflight.ts";
import { prometheusSource } from "./adapters/prometheus.ts";
import { redisBreakerView } from "./adapters/redis.ts";
import { openSlack, openUserGroups } from "./adapters/slack/open.ts";
import { buttonValue } from "./approval/links.ts";
import { openApprovals } from "./approval/request.ts";
import type { RunbooksConfig } from "./config.ts";
import { NO_CONFIGMAP } from "./config/policy.ts";
import { metricAccess } from "./config/verify.ts";
import { connectionCap } from "./connection-cap.ts";
import type { Switches } from "./decide.ts";
import { enqueueAllWith, enqueueWith } from "./enqueue.ts";
import { openFacts } from "./facts.ts";
import { openGuard } from "./guard.ts";
import { createRunbooksMetrics, type RunbooksMetrics } from "./metrics.ts";
import { openCatalog } from "./open-catalog.ts";
import { openCollecting } from "./open-collector.ts";
import { openNotices } from "./open-notices.ts";
import { openPages } from "./open-pages.ts";
import { openPolicy } from "./open-policy.ts";
import { startHousekeeping } from "./open-housekeeping.ts";
import { countInbox, openInstance } from "./open-instance.ts";
import { openIntake } from "./open-intake.ts";
import { openVerifier } from "./open-verifier.ts";
import { openWorkers } from "./open-workers.ts";
import { approvalLinks } from "./operations.ts";
import { argumentProblemWith } from "./policy/arguments.ts";
import { addRoutes } from "./routes.ts";
import type { RunDeps } from "./steps/step.ts";
import { openSources } from "./sources.ts";
import type { UserGroups } from "./types/approval.ts";
import type { Enqueue, Runbook } from "./types/intake.ts";
import { parseQueries } from "./verify-queries.ts";

/** The catalogue that ships with Fettle, wherever it was started from. */
const PACKAGED_CATALOG = fileURLToPath(new URL("../ops/runbooks/runbooks.yaml", import.meta.url));
/** After the last moment of an approval there must be time for the action itself. */
const ACTION_SECONDS = 900;

/** Builds the service's graph and starts it. What was started is stopped in the reverse order. */
export async function startRunbooks(config: RunbooksConfig, log: Log): Promise<RunningService> {
  return buildService(log, async (stack) => {
    const shared = await openShared(config, log, stack);
    if (config.role === "executor") return startExecutorAlone(shared, stack);
    if (config.role === "receiver") countInbox(shared, shared.inboxWaiting, stack);
    else await startExecutor(shared, stack);
    return startReceiver(shared, stack);
  });
}

/** What receiving and executing have in common. */
interface Shared {
  readonly config: RunbooksConfig;
  readonly log: Log;
  readonly registry: Registry;
  readonly metrics: RunbooksMetrics;
  readonly database: Database;
  readonly jobs: Jobs;
  readonly enqueue: Enqueue;
  readonly groups: UserGroups | undefined;
  readonly readiness: () => Promise<Readiness>;
  /** Deliveries that waited to be looked at, as last counted. */
  readonly inbox: { waiting: number };
  readonly inboxWaiting: (deliveries: number) => void;
}

async function openShared(config: RunbooksConfig, log: Log, stack: StopStack): Promise<Shared> {
  const registry = createRegistry("runbooks");
  const metrics = createRunbooksMetrics(registry);
  const database = openDatabase(
    { url: config.databaseUrl.reveal(), applicationName: "fettle-runbooks" },
    log,
  );
  stack.add("database", async () => database.close());
  const sendOnly = config.role === "receiver";
  const jobs = await openJobs(config.databaseUrl.reveal(), log, { sendOnly });
  stack.add("jobs", async () => jobs.stop());
  const enqueue = enqueueWith(jobs);
  const groups = openUserGroups(config, log);
  const inbox = { waiting: 0 };
  const inboxWaiting = (deliveries: number) => {
    inbox.waiting = deliveries;
    metrics.inboxWaiting(deliveries);
  };
  const readiness = openInstance(config, { database, registry, log }, stack);
  const counted = { inbox, inboxWaiting };
  return { config, log, registry, metrics, database, jobs, enqueue, groups, readiness, ...counted };
}

/** In a network that lets nobody in: what it listens on tells how it is, and takes nothing. */
async function startExecutorAlone(shared: Shared, stack: StopStack): Promise<string> {
  const { config, log, registry, readiness } = shared;
  await startExecutor(shared, stack);
  const app = buildApp({ service: "runbooks", log, registry, readiness }, () => undefined);
  const server = await listen(app, { host: config.executorHost, port: config.port });
  stack.add("http", async () => server.stop());
  return server.url;
}

/** What people and senders reach. Returns its address. */
async function startReceiver(shared: Shared, stack: StopStack): Promise<string> {
  const { config, log, registry, metrics, database, enqueue, groups, readiness, inbox } = shared;
  const slack = await openSlack(config, { database, enqueue, groups, log }, stack);
  const intake = openIntake(config, { log, waiting: () => inbox.waiting, stack });
  const switches = switchesOf(config);
  const catalogPath = config.runbooksFile ?? PACKAGED_CATALOG;
  const pageParts = { log, enqueue, groups, switches, catalogPath, history: storedEpisodes };
  const pages = openPages(config, pageParts, stack);
  const app = buildApp({ service: "runbooks", log, registry, readiness }, (router) => {
    addRoutes(router, {
      intake,
      pages,
      database,
      enqueue,
      groups,
      slack,
      clock: systemClock,
      approvers: config.approvers,
      approvalSecret: config.approvalSecret,
      metrics,
    });
  });
  const server = await listen(app, { ...config, cap: connectionCap({ ...intake, metrics }) });
  stack.add("http", async () => server.stop());
  stack.add("streams", async () => pages.watch.stop()); // before it waits for open requests
  stack.add("intake", async () => {
    intake.load.drain();
    await failpoint("draining");
  });
  return server.url;
}

/** What changes things: those who take jobs, and the sweep behind them. */
async function startExecutor(shared: Shared, stack: StopStack): Promise<void> {
  const { config, database } = shared;
  const admitDeps = await admitDepsOf(shared, stack);
  const runDeps = await runDepsOf(shared, () => admitDeps.catalog, stack);
  const alertmanager = alertmanagerOf(config);
  await startHousekeeping(config, shared, { admitDeps, alertmanager }, stack);
  await openWorkers(shared, { admitDeps, runDeps }, stack);
  openNotices(shared, { outbox: openOutboxTable(database), ...channelsOf(shared) }, stack);
}

/** Whom it tells, with the buttons and links that only the holder of the approval secret can make. */
function channelsOf({ config, database }: Shared) {
  const { approvalSecret: secret, publicUrl: url, approvers, slackSigningSecret } = config;
  return openChannels(config, {
    // Without the signing secret no click is taken: then there are links in place of the buttons.
    buttonValue:
      slackSigningSecret &&
      secret &&
      ((approval, verdict) => buttonValue(approval, verdict, secret)),
    personalLinks: async (runId) =>
      secret === undefined || url === undefined
        ? []
        : approvalLinks(runId, { database, approvers, secret, url }),
  });
}

async function admitDepsOf(shared: Shared, stack: StopStack) {
  const { config, database, log, jobs, registry } = shared;
  const { cluster, cooldownSeconds, approvalSeconds } = config;
  const path = config.runbooksFile ?? PACKAGED_CATALOG;
  const catalog = await openCatalog(path, { registry, clock: systemClock, log }, stack);
  const deadlineSeconds = approvalSeconds + ACTION_SECONDS;
  const enqueueAll = enqueueAllWith(jobs);
  const { sourceNamespacesOf } = openSources(config);
  return {
    database,
    log,
    enqueueAll,
    get catalog() {
      return catalog.runbooks(); // as it is now: the file may change
    },
    cluster,
    cooldownSeconds,
    deadlineSeconds,
    sourceNamespacesOf,
  };
}

async function runDepsOf(
  shared: Shared,
  runbooks: () => readonly Runbook[],
  stack: StopStack,
): Promise<RunDeps> {
  const { config, log, database, enqueue, groups, metrics } = shared;
  const { productionNamespaces } = config;
  const switches = switchesOf(config);
  const kubernetes = connectKubernetes(config.kubeconfig);
  const map = policyMapOf(config, kubernetes);
  const containers = openHypervisor(config, log);
  const argumentProblem = argumentProblemWith({ hypervisor: containers !== undefined });
  const policy = openPolicy({ ...shared, text: config.policy, map, argumentProblem }, stack);
  const view = config.redisUrl && (await redisBreakerView(config.redisUrl, log));
  if (view !== undefined) stack.add("redis", async () => view.stop());
  const guard = openGuard({ database, limits: switches.limits, view });
  const ports = collectorPorts(config, kubernetes, log);
  const collector = await openCollecting({ ...shared, ...ports, runbooks }, stack);
  return {
    database,
    enqueue,
    log,
    moved: metrics.runMoved,
    policy,
    switches,
    guard,
    facts: openFacts({
      database,
      policy,
      guard,
      switches,
      namespaces: config.namespaces,
      census: kubernetesCensus(kubernetes),
      sourceNamespacesOf: openSources(config).sourceNamespacesOf,
    }),
    approvals: openApprovals({
      database,
      approvers: config.approvers,
      productionNamespaces,
      groups,
    }),
    collector,
    verifier: openVerifier({ ...verifierDepsOf(config, log), runbooks }),
    cluster: kubernetesCluster(kubernetes),
    actions: actionsWith(containers),
    approvalSeconds: config.approvalSeconds,
    verifySeconds: config.verifySeconds,
    verifyHoldSeconds: config.verifyHoldSeconds,
    leaseSeconds: config.leaseSeconds,
    owner: `${hostname()}-${process.pid}-${randomUUID()}`,
    codeVersion: version,
  };
}

function verifierDepsOf(config: RunbooksConfig, log: Log) {
  const access = metricAccess(config);
  const source = access && prometheusSource(access, log);
  return { queries: parseQueries(config.verifyQueries), source };
}

function switchesOf(config: RunbooksConfig): Switches {
  const { enabled, dryRun, requireApproval, approvers, maxHourly, maxDaily } = config;
  const limits = { hourly: maxHourly, daily: maxDaily };
  const { maxUnhealthyPercent: percent, maxUnhealthyTargets: recentTargets } = config;
  const unhealthy = { percent, recentTargets };
  return { enabled, dryRun, requireApproval, approvers, limits, unhealthy };
}

/** A service that may not do anything does not ask the cluster what it may. */
function policyMapOf({ enabled, policyConfigMap: name }: RunbooksConfig, kubernetes: Kubernetes) {
  return enabled && name !== NO_CONFIGMAP ? policyConfigMap(name, kubernetes) : undefined;
}

function alertmanagerOf(config: RunbooksConfig) {
  const { alertmanagerUrl: url, alertmanagerReceiver: receiver, alertmanagerToken: token } = config;
  return url === undefined ? undefined : alertmanagerAlerts({ url, receiver, token });
}
