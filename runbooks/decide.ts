import { breakerRefusal } from "./breaker.ts";
import { explain } from "./policy/explain.ts";
import { isOpen } from "./policy/window.ts";
import type { BreakerLimits, BreakerState } from "./types/breaker.ts";
import type { Explanation, PolicyReading } from "./types/policy.ts";
import type { RunRule, SkippedState, Trigger } from "./types/run.ts";
import type { Target } from "./types/target.ts";

/** The operator's switches, as they stood when the decision was made. */
export interface Switches {
  readonly enabled: boolean;
  readonly dryRun: boolean;
  readonly requireApproval: boolean;
  readonly approvers: readonly string[];
  readonly limits: BreakerLimits;
  /** When so much is sick that nothing is done by itself; 30 % and 5 targets when undefined. */
  readonly unhealthy?: { readonly percent: number; readonly recentTargets: number };
}

/** Everything that a decision is made from. JSON only, no undefined in lists and no Dates: it is kept and replayed. */
export interface DecisionInput {
  readonly alert: Pick<Trigger, "trigger" | "reason" | "labels" | "truncated" | "source">;
  readonly target: Target;
  readonly policy: PolicyReading;
  readonly breakers: { readonly target: BreakerState; readonly app: BreakerState };
  readonly killed: KillSwitch | null | "unknown";
  readonly health: HealthFacts | "unknown";
  /** When this target was last acted on; RFC 3339. */
  readonly lastActionAt: string | null;
  /** The namespaces that may be touched, and those that the alert's sender may speak for; null is all. */
  readonly scope: {
    readonly namespaces: readonly string[] | null;
    readonly sourceNamespaces: readonly string[] | null;
  };
  readonly switches: Switches;
  /** RFC 3339. */
  readonly now: string;
}

/** How sick the namespace, and everything, is. */
export interface HealthFacts {
  /** Targets in the namespace that have an alert now, this one included. */
  readonly sick: number;
  /** Workloads in the namespace; null when nobody counted them. */
  readonly workloads: number | null;
  /** Targets anywhere that got an alert in the last ten minutes. */
  readonly recentTargets: number;
}

/** A person's "stop" that holds for the target. */
export interface KillSwitch {
  readonly scope: string;
  readonly by: string;
  readonly reason: string;
}

type Verdict =
  | { readonly kind: "skip"; readonly state: SkippedState; readonly why: string }
  /** Only written down, with what would have been done. */
  | { readonly kind: "shadow"; readonly rule: RunRule; readonly wouldAsk: boolean }
  | {
      readonly kind: "act";
      readonly rule: RunRule;
      readonly dryRun: boolean;
      readonly approval:
        { readonly quorum: number; readonly approvers: readonly string[] } | undefined;
    };

export interface Decision {
  readonly verdict: Verdict;
  /** The policy's key that matched. */
  readonly key: string | undefined;
  readonly considered: Explanation["considered"];
  /** Every gate that was passed or that refused, in order: the answer to "why?". */
  readonly path: readonly string[];
}

/**
 * May something be done about this alert? Pure: the same input gives the same decision, in production, in a replay and in
 * a backtest. The order of the gates is the order in which they are named here; whatever is not known is refused.
 */
export function decide(input: DecisionInput): Decision {
  const path: string[] = [];
  const refusal = refusalOf([switchedOn, inScope, whole, readable], input, path);
  if (refusal !== undefined) return skipped(refusal, path, NOTHING_LOOKED_UP);

  const lookup = explainFor(input);
  const { rule } = lookup;
  if (rule === undefined) return skipped(noRule(input, lookup), path, lookup);
  path.push(`policy "${rule.key}" says ${rule.text}`);

  const objection = refusalOf(
    [inWindow, rested, mostlyHealthy, breakersHaveRoom].map((gate) => gate(rule)),
    input,
    path,
  );
  if (objection !== undefined) return skipped(objection, path, lookup);

  const asks = whetherToAsk(rule, input.switches);
  const { key, considered } = lookup;
  if (rule.options.mode === "shadow") {
    path.push("mode=shadow: it is only written down");
    return { verdict: { kind: "shadow", rule, wouldAsk: asks.ask }, key, considered, path };
  }
  const approval = asks.ask ? approvalOf(rule, input.switches) : undefined;
  if (typeof approval === "string")
    return skipped({ state: "skipped_no_approval", why: approval }, path, lookup);
  path.push(
    approval === undefined
      ? `needs no approval (${asks.why})`
      : `asks ${approval.approvers.join(", ")}${approval.quorum > 1 ? `, ${approval.quorum} of them` : ""} (${asks.why})`,
  );
  const { dryRun } = input.switches;
  return { verdict: { kind: "act", rule, dryRun, approval }, key, considered, path };
}

interface Refusal {
  readonly state: SkippedState;
  readonly why: string;
}

/** A text is "passed", for the path. */
type Gate = (input: DecisionInput) => Refusal | string;

function refusalOf(
  gates: readonly Gate[],
  input: DecisionInput,
  path: string[],
): Refusal | undefined {
  for (const gate of gates) {
    const result = gate(input);
    if (typeof result !== "string") return result;
    path.push(result);
  }
  return undefined;
}

interface Lookup {
  readonly key: string | undefined;
  readonly rule: RunRule | undefined;
  readonly considered: Explanation["considered"];
}

const NOTHING_LOOKED_UP: Lookup = { key: undefined, rule: undefined, considered: [] };

function skipped({ state, why }: Refusal, path: readonly string[], lookup: Lookup): Decision {
  const { key, considered } = lookup;
  return {
    verdict: { kind: "skip", state, why },
    key,
    considered,
    path: [...path, `${state}: ${why}`],
  };
}

function switchedOn({ killed, switches }: DecisionInput): Refusal | string {
  const off = (why: string): Refusal => ({ state: "skipped_disabled", why });
  if (killed === "unknown") return off("the kill switch cannot be read");
  if (killed !== null) return off(`${killed.by} switched ${killed.scope} off: ${killed.reason}`);
  if (!switches.enabled) return off("RUNBOOK_AUTOFIX_ENABLED is false");
  return "remediation is enabled";
}

/** Kubernetes' own namespaces are only touched when they are named. */
const RESERVED = "kube-";

function inScope({ target: { namespace }, alert, scope }: DecisionInput): Refusal | string {
  const refused = (why: string): Refusal => ({ state: "skipped_not_allowed", why });
  const { namespaces, sourceNamespaces } = scope;
  if (namespaces === null && namespace.startsWith(RESERVED))
    return refused(
      `${namespace} is one of Kubernetes' own, and RUNBOOK_NAMESPACES does not name it`,
    );
  if (namespaces !== null && !namesNamespace(namespaces, namespace))
    return refused(`RUNBOOK_NAMESPACES does not name ${namespace}`);
  if (sourceNamespaces !== null && !namesNamespace(sourceNamespaces, namespace))
    return refused(`the source ${alert.source} may not speak for ${namespace}`);
  return `namespace ${namespace} may be touched`;
}

/** An entry may end in `*`. */
function namesNamespace(entries: readonly string[], namespace: string): boolean {
  return entries.some((entry) =>
    entry.endsWith("*") ? namespace.startsWith(entry.slice(0, -1)) : namespace === entry,
  );
}

function whole({ alert }: DecisionInput): Refusal | string {
  return alert.truncated
    ? {
        state: "skipped_truncated",
        why: "Alertmanager cut the group, so its extent is not known",
      }
    : "the group of alerts is whole";
}

function readable({ policy }: DecisionInput): Refusal | string {
  if (policy.kind === "unknown")
    return { state: "skipped_no_policy", why: `the policy is not known: ${policy.why}` };
  const { disabled } = policy.document;
  return disabled !== undefined
    ? { state: "skipped_disabled", why: `the policy is disabled: ${disabled}` }
    : `policy version ${policy.document.sha256.slice(0, 12)}`;
}

function explainFor({ policy, target, alert }: DecisionInput): Lookup {
  if (policy.kind === "unknown") return NOTHING_LOOKED_UP;
  const { key, rule, considered } = explain(policy.document, target, alert.trigger, alert.reason);
  return {
    key,
    rule: key === undefined || rule === undefined ? undefined : { ...rule, key },
    considered,
  };
}

function noRule({ alert: { trigger, reason } }: DecisionInput, { considered }: Lookup): Refusal {
  const wanted = reason === "" ? trigger : `${trigger}:${reason}`;
  const keys = considered.map(({ key, result }) => `"${key}" ${result}`).join(", ");
  return { state: "skipped_no_policy", why: `the policy has no rule for ${wanted} (${keys})` };
}

function inWindow({ options: { windows = [] } }: RunRule): Gate {
  return ({ now }) => {
    if (windows.length === 0) return "any time is allowed";
    const texts = windows.map(({ text }) => text).join(" or ");
    return isOpen(windows, new Date(now))
      ? `inside the change window ${texts}`
      : { state: "skipped_window", why: `outside of the change window ${texts}` };
  };
}

function rested({ options: { cooldownSeconds } }: RunRule): Gate {
  return ({ lastActionAt, now }) => {
    if (cooldownSeconds === undefined || lastActionAt === null) return "the target has rested";
    const seconds = (Date.parse(now) - Date.parse(lastActionAt)) / 1000;
    return seconds >= cooldownSeconds
      ? "the target has rested"
      : {
          state: "skipped_cooldown",
          why: `the last action was ${Math.floor(seconds)} s ago, the rule wants ${cooldownSeconds} s`,
        };
  };
}

const UNHEALTHY = { percent: 30, recentTargets: 5 } as const;
/** One of three is 33 %: below this many a share says nothing about the whole. */
const SHARE_FROM_SICK = 3;

/** When much is sick at once, the cause is not in each of them, and restarting everything makes it worse. */
function mostlyHealthy({ options }: RunRule): Gate {
  return ({ health, switches: { unhealthy = UNHEALTHY }, target }) => {
    const refused = (why: string): Refusal => ({ state: "skipped_max_unhealthy", why });
    if (health === "unknown") return refused("it is not known how much else is sick");
    const { sick, workloads, recentTargets } = health;
    if (recentTargets > unhealthy.recentTargets)
      return refused(
        `${recentTargets} targets got alerts in 10 minutes, ${unhealthy.recentTargets} are the limit`,
      );
    const percent = options.maxUnhealthyPercent ?? unhealthy.percent;
    if (sick < SHARE_FROM_SICK || percent >= 100)
      return `sick workloads in ${target.namespace}: ${sick}`;
    if (workloads === null || workloads === 0)
      return refused(`${sick} are sick in ${target.namespace}, and it is not known of how many`);
    const share = `${sick} of ${workloads} workloads in ${target.namespace} are sick`;
    return (sick / workloads) * 100 > percent
      ? refused(`${share}, ${percent} % are the limit`)
      : share;
  };
}

function breakersHaveRoom(): Gate {
  return ({ breakers, switches: { limits } }) => {
    const why = breakerRefusal(breakers.target, limits) ?? breakerRefusal(breakers.app, limits);
    return why === undefined ? "the circuit breaker has room" : { state: "skipped_circuit", why };
  };
}

/** Of the switch and the rule's mode the stricter wins. */
export function whetherToAsk(
  { options: { mode } }: Pick<RunRule, "options">,
  { requireApproval }: Pick<Switches, "requireApproval">,
): { readonly ask: boolean; readonly why: string } {
  if (requireApproval) return { ask: true, why: "RUNBOOK_AUTOFIX_REQUIRE_APPROVAL is true" };
  if (mode === "approve") return { ask: true, why: "mode=approve" };
  return {
    ask: false,
    why: mode === "auto" ? "mode=auto" : "RUNBOOK_AUTOFIX_REQUIRE_APPROVAL is false",
  };
}

function approvalOf({ options }: RunRule, switches: Switches) {
  const { approvers = switches.approvers, quorum = 1 } = options;
  if (approvers.length === 0) return "RUNBOOK_APPROVERS is empty: nobody may approve";
  // How many people a user group has is not known here.
  const countable = !approvers.some((approver) => approver.startsWith("@"));
  if (countable && approvers.length < quorum)
    return `${quorum} people must approve, and only ${approvers.length} may`;
  return { quorum, approvers };
}
