import type { Environment } from "../lib/config.ts";
import { runAlone } from "../lib/run-alone.ts";
import { readRunbooksConfig } from "./config.ts";
import { startRunbooks } from "./service.ts";

export { readRunbooksConfig, shape as runbooksVariables } from "./config.ts";
export { startRunbooks } from "./service.ts";
export type { RunDetail, RunSummary } from "./operations.ts";
export type { AlertDetail, AlertSummary } from "./alerts.ts";
export { alert, alerts, quarantine, retryDelivery } from "./tools/alerts.ts";
export { answer, links } from "./tools/approvals.ts";
export { auditRows, exportRecord, verifyRecord } from "./tools/audit.ts";
export type { AuditReport } from "./audit/verify.ts";
export type { BreakerRow } from "./breaker-control.ts";
export { breakers, setBreaker } from "./tools/breaker.ts";
export {
  catalogSchemaText,
  checkCatalog,
  tryCatalog,
  type CatalogCheck,
  type CatalogTrial,
} from "./tools/catalog.ts";
export type { PolicyInForce } from "./policy/in-force.ts";
export { disable, enable, type KillOutcome } from "./tools/kill-switch.ts";
export {
  checkPolicyFile,
  explainPolicy,
  policyInForce,
  policyRulesFor,
  type PolicyAnswer,
} from "./tools/policy.ts";
export { rbacManifest } from "./tools/rbac.ts";
export {
  approvalList,
  cancel,
  retry,
  run,
  runList,
  runs,
  watchRun,
  type RunEvent,
} from "./tools/runs.ts";
export type { Replay } from "./replay-decision.ts";
export { decision, replay, type FoundDecision, type KeptDecision } from "./tools/decisions.ts";
export type { ShadowLine } from "./shadow.ts";
export { shadow } from "./tools/shadow.ts";
export type { BacktestReport } from "./backtest/replay.ts";
export type { Tally as PolicyTally } from "./backtest/tally.ts";
export { backtestPolicyFile, doctor, type AlertSource, testSlack } from "./workbench.ts";
export type { DoctorResult } from "./doctor/types.ts";
export { slackManifest } from "./slack-manifest.ts";

/** `fettle runbooks`: receives alerts and remediates until it is told to stop. */
export async function runRunbooks(env: Environment): Promise<number> {
  return runAlone("runbooks", readRunbooksConfig(env), env, startRunbooks);
}
