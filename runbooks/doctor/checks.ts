import {
  ConfigError,
  readConfig,
  type Config,
  type Environment,
  type Shape,
} from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import { readRunbooksConfig } from "../config.ts";
import { approvalVariables } from "../config/approval.ts";
import { clusterVariables } from "../config/cluster.ts";
import { guardVariables } from "../config/guards.ts";
import { intakeVariables } from "../config/intake.ts";
import { listenVariables } from "../config/listen.ts";
import { NO_CONFIGMAP, policyVariables } from "../config/policy.ts";
import { roleVariables } from "../config/role.ts";
import { slackVariables } from "../config/slack.ts";
import { verifyVariables } from "../config/verify.ts";
import { checkAlertmanager } from "./alertmanager.ts";
import { checkDatabase } from "./database.ts";
import { checkKubernetes } from "./kubernetes.ts";
import { checkSlackApp } from "./slack.ts";
import { failed, ok, skipped, type DoctorCheck, type DoctorPorts } from "./types.ts";

/** All checks. A configuration with mistakes is told, and what can be read of it is looked at all the same. */
export function doctorChecks(
  env: Environment,
  asked: { readonly namespaces: readonly string[] },
  ports: DoctorPorts,
  log: Log,
): readonly DoctorCheck[] {
  return [
    configurationCheck(env),
    databaseCheck(env, log),
    redisCheck(env, ports),
    slackCheck(env, ports),
    kubernetesCheck(env, asked.namespaces, ports),
    alertmanagerCheck(env, ports),
    prometheusCheck(env, ports),
  ];
}

/** A part of the configuration; undefined when it has mistakes, of which the first check tells. */
export function readPart<const S extends Shape>(shape: S, env: Environment): Config<S> | undefined {
  try {
    return readConfig(shape, env);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

function configurationCheck(env: Environment): DoctorCheck {
  const look = async () => {
    try {
      const { role, dryRun, enabled } = readRunbooksConfig(env);
      const mode = enabled ? (dryRun ? "dry-run only" : "it may act") : "remediation is off";
      return [ok("variables", `role ${role}, ${mode}`)];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.problems.map((problem) => failed("variables", problem));
    }
  };
  return { area: "configuration", what: "variables", look };
}

function databaseCheck(env: Environment, log: Log): DoctorCheck {
  const url = readPart({ databaseUrl: listenVariables.databaseUrl }, env)?.databaseUrl;
  return url === undefined
    ? leftOut("database", "AIOPS_DATABASE_URL is not set")
    : checkDatabase(url.reveal(), log);
}

function redisCheck(env: Environment, { redisAnswers }: DoctorPorts): DoctorCheck {
  const url = readPart({ redisUrl: guardVariables.redisUrl }, env)?.redisUrl;
  if (url === undefined)
    return leftOut("redis", "RUNBOOK_REDIS_URL is not set: Postgres alone counts");
  const what = "breaker's view";
  const look = async () =>
    (await redisAnswers(url.reveal()))
      ? [ok(what, "answers, and can be written to")]
      : [failed(what, "does not answer, or cannot be written to: no action is taken meanwhile")];
  return { area: "redis", what, look };
}

function slackCheck(env: Environment, ports: DoctorPorts): DoctorCheck {
  const slack = readPart(slackVariables, env);
  const approvers = readPart({ approvers: approvalVariables.approvers }, env)?.approvers ?? [];
  if (slack?.slackBotToken === undefined) return leftOut("slack", "SLACK_BOT_TOKEN is not set");
  const hasSigningSecret = slack.slackSigningSecret !== undefined;
  const hasGroups = approvers.some((approver) => approver.startsWith("@"));
  return checkSlackApp({ hasSigningSecret, hasGroups }, ports);
}

function kubernetesCheck(
  env: Environment,
  asked: readonly string[],
  ports: DoctorPorts,
): DoctorCheck {
  const part = { ...policyVariables, ...clusterVariables, role: roleVariables.role };
  const config = readPart(part, env);
  if (config?.role === "receiver") return leftOut("kubernetes", "a receiver has no rights there");
  if (config?.enabled !== true && asked.length === 0)
    return leftOut(
      "kubernetes",
      "RUNBOOK_AUTOFIX_ENABLED is not true (--namespace looks all the same)",
    );
  const named = (config?.namespaces ?? []).filter((name) => !name.includes("*"));
  const map = config?.policyConfigMap === NO_CONFIGMAP ? undefined : config?.policyConfigMap;
  return checkKubernetes(asked.length > 0 ? asked : named, map, ports);
}

function alertmanagerCheck(env: Environment, ports: DoctorPorts): DoctorCheck {
  const { alertmanagerUrl, alertmanagerReceiver } = intakeVariables;
  const config = readPart({ alertmanagerUrl, alertmanagerReceiver }, env);
  return config?.alertmanagerUrl === undefined
    ? leftOut("alertmanager", "RUNBOOK_ALERTMANAGER_URL is not set")
    : checkAlertmanager(config.alertmanagerReceiver, ports);
}

function prometheusCheck(env: Environment, { askPrometheus }: DoctorPorts): DoctorCheck {
  const url = readPart({ promUrl: verifyVariables.promUrl }, env)?.promUrl;
  if (url === undefined)
    return leftOut("prometheus", "PROM_URL is not set: runs are verified by their alerts alone");
  const look = async () => {
    await askPrometheus();
    return [ok("query", "answers")];
  };
  return { area: "prometheus", what: "query", look };
}

function leftOut(area: string, why: string): DoctorCheck {
  return { area, what: "", look: async () => Promise.resolve([skipped("", why)]) };
}
