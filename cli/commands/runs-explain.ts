import type { RunDetail } from "../../runbooks/main.ts";
import { plain } from "../as-usage.ts";

type Decision = NonNullable<RunDetail["decision"]>;

/** Why a run became what it is, from its own record: what matched, each gate, and the numbers that they looked at. */
export function explainRun(run: Omit<RunDetail, "audit">): string {
  const { trigger, decision } = run;
  return [
    `${run.id}  ${run.target}  ${run.state}${run.outcome === null ? "" : `: ${run.outcome}`}`,
    `match        runbook ${run.runbook}, for ${trigger.trigger}:${trigger.reason} (${trigger.alertname} from ${trigger.source})`,
    ...originOf(run),
    ...(decision === null ? ["decision     none so far"] : decisionLines(decision)),
    ...run.preflight.map(
      ({ severity, about, text }) => `preflight    ${severity}, ${about}: ${text}`,
    ),
    ...(run.plan === null ? [] : [`plan         ${run.plan}`]),
    ...(run.rollback === null ? [] : [`taken back   ${run.rollback}`]),
  ]
    .map(plain)
    .join("\n");
}

function originOf({
  requestedBy,
  retryOf,
  dryRun,
}: Pick<RunDetail, "requestedBy" | "retryOf" | "dryRun">): readonly string[] {
  if (requestedBy === null) return [];
  const how = dryRun ? ", as a dry run" : "";
  return [`started by   ${requestedBy}, after ${retryOf ?? "nothing"}${how}`];
}

function decisionLines({ key, considered, path, input, policy_sha256 }: Decision): string[] {
  return [
    `policy       ${key === undefined ? "no line matches" : `key ${key}`}, version ${policy_sha256?.slice(0, 12) ?? "not known"}`,
    ...considered.map(({ key: other, result }) => `  ${other}: ${result}`),
    `breaker      target ${breakerText(input.breakers.target)}; app ${breakerText(input.breakers.app)}; ` +
      `limits ${input.switches.limits.hourly} an hour, ${input.switches.limits.daily} a day`,
    `max unhealthy ${healthText(input)}`,
    `kill switch  ${killText(input.killed)}`,
    `last action  ${input.lastActionAt ?? "none"}`,
    `gates (${input.now}):`,
    ...path.map((gate) => `  ${gate}`),
  ];
}

function breakerText(state: Decision["input"]["breakers"]["target"]): string {
  if (state.kind === "unknown") return "not known";
  return `${state.open ? "OPEN" : "closed"}, ${state.usedHour} used this hour, ${state.usedDay} today`;
}

function healthText({ health, switches }: Decision["input"]): string {
  if (health === "unknown") return "not known";
  const of = health.workloads === null ? "" : ` of ${health.workloads} workloads`;
  const limits = switches.unhealthy;
  const most =
    limits === undefined ? "" : ` (limits ${limits.percent} %, ${limits.recentTargets} targets)`;
  return `${health.sick}${of} sick in the namespace, ${health.recentTargets} targets in 10 minutes${most}`;
}

function killText(killed: Decision["input"]["killed"]): string {
  if (killed === null) return "off";
  return killed === "unknown" ? "not known" : `${killed.scope}, by ${killed.by}: ${killed.reason}`;
}
