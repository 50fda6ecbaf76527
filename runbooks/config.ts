import { ConfigError, readConfig, type Config, type Environment } from "../lib/config.ts";
import { approvalProblems, approvalVariables } from "./config/approval.ts";
import { auditVariables } from "./config/audit.ts";
import { clusterVariables } from "./config/cluster.ts";
import { collectorProblems, collectorVariables } from "./config/collector.ts";
import { guardVariables } from "./config/guards.ts";
import { hypervisorProblems, hypervisorVariables } from "./config/hypervisor.ts";
import { intakeProblems, intakeVariables } from "./config/intake.ts";
import { listenVariables } from "./config/listen.ts";
import { notifyProblems, notifyVariables } from "./config/notify.ts";
import { pageProblems, pageVariables } from "./config/pages.ts";
import { policyProblems, policyVariables } from "./config/policy.ts";
import { roleVariables } from "./config/role.ts";
import { slackProblems, slackVariables } from "./config/slack.ts";
import { verifyProblems, verifyVariables } from "./config/verify.ts";

export const shape = {
  ...listenVariables,
  ...intakeVariables,
  ...policyVariables,
  ...approvalVariables,
  ...guardVariables,
  ...clusterVariables,
  ...collectorVariables,
  ...hypervisorVariables,
  ...verifyVariables,
  ...roleVariables,
  ...notifyVariables,
  ...slackVariables,
  ...auditVariables,
  ...pageVariables,
} as const;

export type RunbooksConfig = Config<typeof shape>;

/** @throws ConfigError with all problems, those between variables included */
export function readRunbooksConfig(env: Environment): RunbooksConfig {
  const config = readConfig(shape, env);
  const problems = [
    approvalProblems,
    collectorProblems,
    hypervisorProblems,
    intakeProblems,
    policyProblems,
    notifyProblems,
    slackProblems,
    pageProblems,
    verifyProblems,
  ].flatMap((find) => find(config));
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}
