import { describeCollection } from "../collect/find.ts";
import type { Letter } from "../types/notice.ts";
import type { RunNews } from "./compose.ts";
import { cut, LABEL_MAX } from "./limits.ts";
import { statusOf, titleOf } from "./status.ts";
import { clockOf, label, labelOf, spanOf } from "./words.ts";

/** What every channel says about a run, in plain text: each channel cuts and escapes it in its own way. */
export interface Story {
  /** Such as `Approval needed: shop/checkout`. */
  readonly title: string;
  /** One sentence with everything a notification on a phone must say. */
  readonly summary: string;
  readonly severity: "critical" | "error" | "warning" | "info";
  readonly fired: string;
  /** What became of it so far; empty while nobody has answered. */
  readonly status: string;
  readonly dryRun: boolean;
  readonly context: readonly string[];
  readonly facts: readonly Fact[];
}

interface Fact {
  readonly name:
    "Evidence" | "Trend" | "Diagnostics" | "Plan" | "Blast radius" | "Breaker" | "Expires" | "Undo";
  readonly value: string;
}

/** Runs that ended before anything was asked or done are told nobody: a storm has thousands of them. */
export function isTold({ run }: RunNews): boolean {
  return !QUIET_STATES.includes(run.state);
}

/** States in which a run has asked nobody and done nothing. */
export const QUIET_STATES: readonly string[] = [
  "matched",
  "collecting",
  "collected",
  "cancelled",
  "rejected",
  "resolved_before_action",
  "skipped_disabled",
  "skipped_not_allowed",
  "skipped_no_policy",
  "skipped_no_approval",
  "skipped_window",
  "skipped_cooldown",
  "skipped_shadow",
  "skipped_target",
];

/** Whether a run waits for a person now. */
export function isAsked({ run, approval }: RunNews): boolean {
  return run.state === "approval_pending" && approval?.state === "pending";
}

export function storyOf(news: RunNews): Story {
  const { run } = news;
  const { plan, trigger } = run;
  const status = statusOf(news);
  const target = label(`${run.namespace}/${run.app}`);
  const title = `${titleOf(news)}: ${target}`;
  const what = plan?.summary ?? "Nothing was planned";
  const cause = trigger.alertname === "" ? trigger.trigger : trigger.alertname;
  const asked = isAsked(news) && news.approval !== undefined;
  const end = asked ? `Expires ${clockOf(news.approval.expiresAt)}.` : status;
  return {
    title,
    summary: cut(`${title}. ${what} (${label(cause)}). ${end}`, SUMMARY_MAX),
    severity: severityOf(news),
    fired: firedOf(news),
    status,
    dryRun: plan?.dryRun === true,
    context: contextOf(news),
    facts: factsOf(news),
  };
}

const SUMMARY_MAX = 700;
const DIAGNOSTICS_MAX = 300;

const SEVERITIES: ReadonlyMap<string, Story["severity"]> = new Map([
  ["critical", "critical"],
  ["page", "critical"],
  ["error", "error"],
  ["high", "error"],
  ["info", "info"],
  ["none", "info"],
]);

function severityOf({ run }: RunNews): Story["severity"] {
  return SEVERITIES.get(labelOf(run.trigger.labels, "severity")?.toLowerCase() ?? "") ?? "warning";
}

function firedOf({ run }: RunNews): string {
  const { alertname, reason, trigger, annotations, truncated } = run.trigger;
  const summary = labelOf(annotations, "summary") ?? labelOf(annotations, "description");
  return [
    `${label(alertname === "" ? trigger : alertname)}${reason === "" ? "" : ` (${label(reason)})`} on ${label(run.targetKey)}`,
    ...(summary === undefined ? [] : [cut(summary, 600)]),
    ...(truncated ? ["Alertmanager cut the group: there are more alerts than these"] : []),
  ].join("\n");
}

function contextOf(news: RunNews): readonly string[] {
  const { run, alerts } = news;
  const [cluster = ""] = run.targetKey.split("/");
  const since = alerts.since ?? run.createdAt;
  const end = news.finishedAt ?? run.now;
  const firing = alerts.firing === 0 ? "no longer firing" : `firing for ${spanOf(since, end)}`;
  return [
    severityOf(news),
    `cluster ${label(cluster)}`,
    firing,
    `${alerts.all} ${alerts.all === 1 ? "alert" : "alerts"}`,
    ...(run.sources.length < 2 ? [] : [`reported by ${label(run.sources.join(", "))}`]),
    ...(run.requestedBy === undefined ? [] : [`started by ${label(run.requestedBy)}`]),
  ];
}

function factsOf(news: RunNews): readonly Fact[] {
  const { run, approval } = news;
  const trend = labelOf(run.trigger.annotations, "sparkline");
  return [
    { name: "Evidence" as const, value: evidenceOf(news) },
    { name: "Trend" as const, value: trend === undefined ? "" : cut(trend, LABEL_MAX) },
    { name: "Diagnostics" as const, value: diagnosticsOf(news) },
    { name: "Plan" as const, value: run.plan?.summary ?? "" },
    { name: "Blast radius" as const, value: run.preflight.map(({ text }) => text).join("\n") },
    { name: "Breaker" as const, value: breakerOf(news) },
    {
      name: "Expires" as const,
      value:
        isAsked(news) && approval !== undefined
          ? `${clockOf(approval.expiresAt)} (${spanOf(run.now, approval.expiresAt)}), then rejected`
          : "",
    },
    { name: "Undo" as const, value: news.finishedAt === undefined ? "" : (run.rollback ?? "") },
  ].filter(({ value }) => value !== "");
}

/** Now against usual, and how sure. */
function evidenceOf({ run }: RunNews): string {
  const value = (name: string) => {
    const found = labelOf(run.trigger.annotations, name);
    return found === undefined ? undefined : cut(found, LABEL_MAX);
  };
  const [current, baseline, z, score, window] = [
    value("current"),
    value("baseline"),
    value("zscore"),
    value("score"),
    value("window"),
  ];
  const { trigger, reason } = run.trigger;
  return [
    current === undefined
      ? ""
      : `${label(trigger)} now ${current}${baseline === undefined ? "" : `, usually ${baseline}`}`,
    z === undefined ? "" : `z = ${z}${window === undefined ? "" : ` (${window})`}`,
    score === undefined ? "" : `anomaly score ${score}`,
    reason === "" ? "" : label(reason),
  ]
    .filter((line) => line !== "")
    .join("\n");
}

function diagnosticsOf({ collection }: RunNews): string {
  return collection === undefined ? "" : cut(describeCollection(collection), DIAGNOSTICS_MAX);
}

function breakerOf({ breaker, before, run }: RunNews): string {
  const { hour, day, limits } = breaker;
  const of = (limit: number | undefined) => (limit === undefined ? "" : ` of ${limit}`);
  const [last] = before;
  const helped = before.filter(({ state }) => state === "succeeded").length;
  return [
    `${hour}${of(limits?.hourly)} this hour, ${day}${of(limits?.daily)} today`,
    ...(last === undefined
      ? []
      : [
          `last run ${spanOf(last.finishedAt, run.now)} ago: ${last.state === "succeeded" ? "helped" : "did not help"}`,
          ...(before.length > 1 ? [`${helped} of the last ${before.length} helped`] : []),
        ]),
  ].join("\n");
}

/** One line of the record, for the thread below the message. */
export function threadLineOf(letter: Letter, news: RunNews): string | undefined {
  if (letter.event === "reminder")
    return isAsked(news) && news.approval !== undefined
      ? `Reminder: still waiting for an answer; it expires ${clockOf(news.approval.expiresAt)}.`
      : undefined;
  const { why, reason } = letter.detail as { readonly why?: unknown; readonly reason?: unknown };
  const because = [why, reason].find(
    (text): text is string => typeof text === "string" && text !== "",
  );
  return cut(
    `${clockOf(letter.at)} ${letter.event.replaceAll("_", " ")} by ${label(letter.actor)}${because === undefined ? "" : `: ${because}`}`,
    600,
  );
}
