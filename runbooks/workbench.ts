import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ConfigError, readConfig, secretsIn, type Environment } from "../lib/config.ts";
import { messageOf } from "../lib/error.ts";
import { silentLog, type Log } from "../lib/log.ts";
import { openDatabase } from "../lib/postgres.ts";
import { createRedactor } from "../lib/redact.ts";
import { Secret } from "../lib/secret.ts";
import { version } from "../lib/version.ts";
import { actionNames } from "./actions/index.ts";
import { storedEpisodes } from "./adapters/alert-history/episodes.ts";
import { alertFile } from "./adapters/alert-history/file.ts";
import { prometheusAlerts } from "./adapters/alert-history/prometheus.ts";
import { alertmanagerConfig } from "./adapters/alertmanager.ts";
import { checkSlack, type SlackCheck } from "./adapters/channels/slack-check.ts";
import { mayDo } from "./adapters/kubernetes/access-review.ts";
import { connectKubernetes } from "./adapters/kubernetes/connect.ts";
import { prometheusSource } from "./adapters/prometheus.ts";
import { redisBreakerView } from "./adapters/redis.ts";
import { slackBot } from "./adapters/slack/bot.ts";
import { renderBacktest } from "./backtest/page.ts";
import { parsePolicyFile } from "./backtest/policy-file.ts";
import { backtestPolicy, type BacktestReport } from "./backtest/replay.ts";
import type { AlertHistory, Period, SimulatedWorld } from "./backtest/types.ts";
import { loadCatalog } from "./catalog/load.ts";
import { readBacktestConfig, type BacktestConfig } from "./config/backtest.ts";
import { shape } from "./config.ts";
import { clusterVariables } from "./config/cluster.ts";
import { notifyVariables } from "./config/notify.ts";
import { intakeVariables } from "./config/intake.ts";
import { slackVariables } from "./config/slack.ts";
import { metricAccess, verifyVariables } from "./config/verify.ts";
import { doctorChecks, readPart } from "./doctor/checks.ts";
import { examine } from "./doctor/examine.ts";
import type { DoctorPorts, DoctorResult } from "./doctor/types.ts";
import { argumentProblem } from "./policy/arguments.ts";
import { parsePolicy, PolicyError } from "./policy/parse.ts";
import type { PolicyDocument } from "./types/policy.ts";

const PACKAGED_CATALOG = fileURLToPath(new URL("../ops/runbooks/runbooks.yaml", import.meta.url));

/** What `fettle backtest policy` asks for. */
export interface PolicyBacktestRequest {
  /** Files. */
  readonly policy: string;
  readonly against: string | undefined;
  readonly source: AlertSource;
  readonly period: Period;
  readonly approvalDelaySeconds: number;
  readonly actionDelaySeconds: number;
  readonly workloads: number | null;
  readonly onAlerts: (count: number) => void;
}

export type AlertSource =
  | { readonly kind: "db" }
  | { readonly kind: "prometheus"; readonly stepSeconds: number }
  | { readonly kind: "file"; readonly path: string };

/**
 * Lives through past alerts with a policy from a file, and with another one to compare it with. Changes nothing.
 *
 * @throws ConfigError for a policy that cannot be read, and for a source whose address is not configured
 */
export async function backtestPolicyFile(
  env: Environment,
  log: Log,
  request: PolicyBacktestRequest,
): Promise<{ readonly report: BacktestReport; readonly html: string }> {
  const config = readBacktestConfig(env);
  const environment = parsePolicy(config.policy, actionNames);
  const policy = await readPolicy("--policy", request.policy, environment);
  const against =
    request.against === undefined
      ? undefined
      : await readPolicy("--against", request.against, environment);
  const world = await worldOf(config, request);
  const report = await onHistory(config, log, request.source, async (history) =>
    backtestPolicy({ ...request, policy, against, world, codeVersion: version }, history),
  );
  return { report, html: renderBacktest(report) };
}

async function readPolicy(
  option: string,
  path: string,
  environment: PolicyDocument,
): Promise<PolicyDocument> {
  try {
    return parsePolicyFile(await readFile(path, "utf8"), {
      environment,
      actions: actionNames,
      argumentProblem,
    });
  } catch (error) {
    const problems = error instanceof PolicyError ? error.problems : [messageOf(error)];
    throw new ConfigError(problems.map((problem) => `${option} ${path}: ${problem}`));
  }
}

/** A policy is asked what it would do if it were let: with the switches on, and with somebody to ask. */
async function worldOf(
  config: BacktestConfig,
  { approvalDelaySeconds, actionDelaySeconds, workloads }: PolicyBacktestRequest,
): Promise<SimulatedWorld> {
  const { cluster, cooldownSeconds, approvalSeconds, verifySeconds, requireApproval } = config;
  const approvers = config.approvers.length === 0 ? ["(nobody yet)"] : config.approvers;
  return {
    catalog: await loadCatalog(config.runbooksFile ?? PACKAGED_CATALOG),
    cluster,
    sourceNamespacesOf: () => null,
    switches: {
      enabled: true,
      dryRun: false,
      requireApproval,
      approvers,
      limits: { hourly: config.maxHourly, daily: config.maxDaily },
      unhealthy: {
        percent: config.maxUnhealthyPercent,
        recentTargets: config.maxUnhealthyTargets,
      },
    },
    scope: { namespaces: config.namespaces ?? null, sourceNamespaces: null },
    cooldownSeconds,
    approvalSeconds,
    verifySeconds,
    approvalDelaySeconds,
    actionDelaySeconds,
    workloads,
  };
}

async function onHistory<T>(
  { databaseUrl, ...config }: BacktestConfig,
  log: Log,
  source: AlertSource,
  work: (history: AlertHistory) => Promise<T>,
): Promise<T> {
  if (source.kind === "file") return work(alertFile(source.path));
  if (source.kind === "prometheus") {
    const access = metricAccess(config);
    if (access === undefined)
      throw new ConfigError(["PROM_URL: is required for --source prometheus"]);
    const { stepSeconds } = source;
    return work(prometheusAlerts({ access, stepSeconds }));
  }
  if (databaseUrl === undefined)
    throw new ConfigError(["AIOPS_DATABASE_URL: is required for --source db"]);
  const database = openDatabase(
    {
      url: databaseUrl.reveal(),
      applicationName: "fettle-backtest",
      max: 1,
      statementTimeoutMs: PAGE_TIMEOUT_MS,
    },
    log,
  );
  try {
    return await work(storedEpisodes(database));
  } finally {
    await database.close();
  }
}

/** A page of 2,000 episodes takes milliseconds by the index, and longer on a database that is busy. */
const PAGE_TIMEOUT_MS = 30_000;

const SLACK_TEST_MS = 30_000;

/**
 * `fettle slack test`: whether the bot can do what the service needs of it; undefined where no bot is configured.
 *
 * @throws ConfigError
 */
export async function testSlack(env: Environment): Promise<readonly SlackCheck[] | undefined> {
  const settings = readConfig({ ...slackVariables, ...notifyVariables } as const, env);
  const {
    slackBotToken: token,
    slackChannel: channel,
    slackApiUrl: apiUrl,
    internalHosts,
  } = settings;
  if (token === undefined || channel === undefined) return undefined;
  const signal = AbortSignal.timeout(SLACK_TEST_MS);
  return checkSlack(channel, { apiUrl, token, internalHosts, signal });
}

/**
 * `fettle doctor`: looks at everything that the service works with, and changes nothing. Never rejects for what it finds.
 *
 * @param asked namespaces to look at in the cluster; those of RUNBOOK_NAMESPACES when empty
 */
export async function doctor(
  env: Environment,
  asked: { readonly namespaces: readonly string[] },
): Promise<readonly DoctorResult[]> {
  const redact = createRedactor(secretsIn(shape, env));
  const kubernetes = connectKubernetes(readPart(clusterVariables, env)?.kubeconfig);
  const ports: DoctorPorts = {
    mayDo: async (right) => mayDo(right, kubernetes),
    redisAnswers: async (url) => {
      const view = await redisBreakerView(new Secret(url), silentLog);
      const used = await view.used("fettle doctor");
      await view.stop();
      return used !== undefined;
    },
    slackBot: async (signal) => {
      const { slackApiUrl: apiUrl, slackBotToken: token } = readConfig(slackVariables, env);
      if (token === undefined) throw new Error("SLACK_BOT_TOKEN is not set");
      return slackBot({ apiUrl, token }, signal);
    },
    alertmanagerConfig: async () => {
      const { alertmanagerUrl: url, alertmanagerToken: token } = readConfig(intakeVariables, env);
      if (url === undefined) throw new Error("RUNBOOK_ALERTMANAGER_URL is not set");
      return alertmanagerConfig({ url, token });
    },
    askPrometheus: async () => {
      const problems: string[] = [];
      const access = metricAccess(readConfig(verifyVariables, env), problems);
      if (access === undefined || problems.length > 0) throw new ConfigError(problems);
      await prometheusSource(access, silentLog).query("vector(1)");
    },
  };
  return examine(doctorChecks(env, asked, ports, silentLog), { redact });
}
