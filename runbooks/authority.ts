import type { Database } from "../lib/postgres.ts";
import { whetherToAsk, type Switches } from "./decide.ts";
import { killedBy } from "./kill-switch.ts";
import { explain } from "./policy/explain.ts";
import { isOpen } from "./policy/window.ts";
import type { Approvals } from "./types/approval.ts";
import type { Plan } from "./types/plan.ts";
import type { PolicyRule, PolicySource } from "./types/policy.ts";
import type { Run } from "./types/run.ts";
import { parseTargetKey } from "./types/target.ts";

export interface AuthorityDeps {
  readonly database: Database;
  readonly policy: PolicySource;
  readonly approvals: Approvals;
  readonly switches: Switches;
}

/**
 * Why the plan may not be carried out now, or undefined. Asked again before every step that leads to the cluster, because
 * switches are thrown, rules removed, windows end and people are disabled between a click and the action.
 */
export async function authorityObjection(
  run: Run,
  plan: Plan,
  deps: AuthorityDeps,
): Promise<string | undefined> {
  const { database, policy, approvals, switches } = deps;
  if (!switches.enabled) return "remediation was disabled after the approval";
  const killed = await killedBy(run, database);
  if (killed !== null) return `${killed.by} switched ${killed.scope} off: ${killed.reason}`;
  if (switches.dryRun && !plan.dryRun) return "dry-run was switched on after the approval";
  const reading = await policy.current();
  if (reading.kind === "unknown") return `the policy is not known: ${reading.why}`;
  const { disabled } = reading.document;
  if (disabled !== undefined) return `the policy is disabled: ${disabled}`;
  const { trigger, reason } = run.trigger;
  const target = parseTargetKey(run.targetKey, run.app);
  const { rule } = explain(reading.document, target, trigger, reason);
  if (rule === undefined) return "the policy does not allow it any more";
  return (
    lineObjection(rule, run, plan) ??
    (await windowObjection(rule, database)) ??
    (asked(run, rule, switches) ? approvals.objection(run, rule.options) : undefined)
  );
}

function lineObjection(rule: PolicyRule, run: Run, plan: Plan): string | undefined {
  const { action, argument } = run.rule ?? plan;
  if (rule.action !== action || rule.argument !== argument)
    return `the policy does not allow it any more: it says ${rule.text}`;
  if (rule.options.mode === "shadow") return "the policy's rule was changed to mode=shadow";
  return undefined;
}

/** An answer can come after the window has closed. */
async function windowObjection(
  { options: { windows = [] } }: PolicyRule,
  database: Database,
): Promise<string | undefined> {
  if (windows.length === 0) return undefined;
  const { rows } = await database.query<{ now: Date }>("SELECT now()");
  const texts = windows.map(({ text }) => text).join(" or ");
  return isOpen(windows, rows[0]?.now ?? new Date(Number.NaN))
    ? undefined
    : `the change window ${texts} is over`;
}

/** A rule that asked when the run was decided, or asks now, needs its answer. */
function asked(run: Run, rule: PolicyRule, switches: Switches): boolean {
  const then = run.rule === undefined || whetherToAsk(run.rule, switches).ask;
  return then || whetherToAsk(rule, switches).ask;
}
