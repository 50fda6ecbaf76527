import {
  type Config,
  type Environment,
  flag,
  integer,
  list,
  optional,
  port,
  postgresUrl,
  readConfig,
  secret,
  text,
  url,
  withDefault,
  required,
  ConfigError,
} from "../lib/config.ts";
import { messageOf } from "../lib/error.ts";
import { isLoopbackHost } from "../lib/loopback.ts";
import type { Secret } from "../lib/secret.ts";
import { actionNames } from "./actions/index.ts";
import { parsePolicy } from "./policy.ts";

/** A shorter key can be guessed; 32 bytes is HMAC-SHA256's own size. */
const APPROVAL_SECRET_MIN_LENGTH = 32;
/** A webhook token is compared, not used as a key; shorter ones can be guessed. */
const WEBHOOK_SECRET_MIN_LENGTH = 16;

export const shape = {
  host: withDefault(
    "RUNBOOKS_HOST",
    text,
    "127.0.0.1",
    "address to listen on; 0.0.0.0 in a container",
  ),
  port: withDefault("RUNBOOKS_PORT", port, 8080, "port of the webhook and the approval page"),
  publicUrl: optional("RUNBOOKS_URL", url, "address under which people reach the approval page"),
  databaseUrl: required(
    "AIOPS_DATABASE_URL",
    postgresUrl,
    "PostgreSQL address of Fettle's database",
  ),
  webhookToken: optional(
    "RUNBOOK_WEBHOOK_TOKEN",
    secret,
    "bearer token (or basic password) of Alertmanager and Grafana",
  ),
  webhookSecret: optional("AIOPS_WEBHOOK_SECRET", secret, "HMAC key of the detector's alerts"),
  enabled: withDefault(
    "RUNBOOK_AUTOFIX_ENABLED",
    flag,
    false,
    "whether anything may be remediated at all",
  ),
  dryRun: withDefault(
    "RUNBOOK_AUTOFIX_DRY_RUN",
    flag,
    true,
    "only let the cluster check what would be done",
  ),
  policy: withDefault(
    "RUNBOOK_AUTOFIX_POLICY",
    text,
    "",
    "trigger[:reason]=action, separated by semicolons",
  ),
  requireApproval: withDefault(
    "RUNBOOK_AUTOFIX_REQUIRE_APPROVAL",
    flag,
    true,
    "ask a person before acting",
  ),
  approvers: withDefault(
    "RUNBOOK_APPROVERS",
    list,
    [],
    "who may approve, comma-separated; nobody when empty",
  ),
  approvalSecret: optional(
    "RUNBOOK_APPROVAL_SECRET",
    secret,
    "key of the approval links, at least 32 characters",
  ),
  approvalSeconds: withDefault(
    "RUNBOOK_APPROVAL_SECONDS",
    integer({ min: 10, max: 3600 }),
    900,
    "an unanswered request expires after this",
  ),
  maxHourly: withDefault(
    "RUNBOOK_CIRCUIT_MAX_HOURLY",
    integer({ min: 0, max: 1000 }),
    3,
    "actions per app and hour",
  ),
  maxDaily: withDefault(
    "RUNBOOK_CIRCUIT_MAX_DAILY",
    integer({ min: 0, max: 10_000 }),
    10,
    "actions per app and day",
  ),
  redisUrl: optional(
    "RUNBOOK_REDIS_URL",
    secret,
    "Redis address of the breaker's fast shared view",
  ),
  cooldownSeconds: withDefault(
    "RUNBOOK_COOLDOWN_SECONDS",
    integer({ min: 0, max: 86_400 }),
    900,
    "a target is left alone after a run",
  ),
  leaseSeconds: withDefault(
    "RUNBOOK_LEASE_SECONDS",
    integer({ min: 2, max: 300 }),
    30,
    "a killed worker's run is taken over after this",
  ),
  verifySeconds: withDefault(
    "RUNBOOK_VERIFY_SECONDS",
    integer({ min: 5, max: 3600 }),
    300,
    "time for the alert to resolve after an action",
  ),
  runbooksFile: optional(
    "RUNBOOKS_FILE",
    text,
    "the runbook catalogue; ops/runbooks/runbooks.yaml of this package when unset",
  ),
  cluster: withDefault(
    "RUNBOOK_CLUSTER",
    text,
    "default",
    "name of the cluster that KUBECONFIG reaches; alerts whose label cluster differs are left alone",
  ),
  kubeconfig: optional("KUBECONFIG", text, "cluster access; the pod's service account when unset"),
} as const;

export type RunbooksConfig = Config<typeof shape>;

/** @throws ConfigError with all problems, those between variables included */
export function readRunbooksConfig(env: Environment): RunbooksConfig {
  const config = readConfig(shape, env);
  const problems = [
    ...senderProblems(config),
    ...secretProblems(config),
    ...policyProblems(config),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

function senderProblems({ webhookToken, webhookSecret, host }: RunbooksConfig): readonly string[] {
  if (webhookToken !== undefined || webhookSecret !== undefined || isLoopbackHost(host)) return [];
  return [
    `RUNBOOK_WEBHOOK_TOKEN: is required (or AIOPS_WEBHOOK_SECRET) when RUNBOOKS_HOST is ${host}: ` +
      "without a credential only a loopback address may be listened on",
  ];
}

function secretProblems(config: RunbooksConfig): readonly string[] {
  return [
    ...tooShort("RUNBOOK_APPROVAL_SECRET", config.approvalSecret, APPROVAL_SECRET_MIN_LENGTH),
    ...tooShort("RUNBOOK_WEBHOOK_TOKEN", config.webhookToken, WEBHOOK_SECRET_MIN_LENGTH),
    ...tooShort("AIOPS_WEBHOOK_SECRET", config.webhookSecret, WEBHOOK_SECRET_MIN_LENGTH),
  ];
}

function tooShort(name: string, value: Secret | undefined, length: number): readonly string[] {
  if (value === undefined || value.reveal().length >= length) return [];
  return [`${name}: must have at least ${length} characters`];
}

/** A policy that cannot be read must stop the start, and be told with the other problems. */
function policyProblems({ policy }: RunbooksConfig): readonly string[] {
  try {
    parsePolicy(policy, "env", actionNames);
    return [];
  } catch (error) {
    return [`RUNBOOK_AUTOFIX_POLICY: ${messageOf(error)}`];
  }
}
