import { html, type Html } from "../../lib/pages/html.ts";
import type { RunNews } from "../notify/compose.ts";
import { isAsked, storyOf } from "../notify/message.ts";
import { spanOf } from "../notify/words.ts";
import type { BreakerState } from "../types/breaker.ts";
import type { Viewer } from "./access.ts";
import type { RecordRow, RunFacts } from "./facts/run-facts.ts";
import { artefactsOf } from "./artefacts.ts";
import { badge, facts, lines, runLink, shown, sitePage, table, time, words } from "./parts.ts";
import { RUN_SAID, runActions } from "./run-actions.ts";
import { approvalFacts, storyHtml } from "./story.ts";

/** Without a script the page of a run that goes on is loaded again. */
const REFRESH_SECONDS = 10;

/** A run from its alert to its end: what was done, by whom, and why it was allowed. */
export function runPage(
  run: RunFacts,
  viewer: Viewer,
  said: keyof typeof RUN_SAID | undefined,
): string {
  const { news, told } = run;
  const live = news.finishedAt === undefined;
  const stream = `/runs/${encodeURIComponent(news.run.id)}/stream`;
  const title = `Run: ${shown(`${news.run.namespace}/${news.run.app}`)}`;
  return sitePage(
    title,
    html`${said === undefined ? html`` : html`<p class="notice">${RUN_SAID[said]}</p>`}
      ${statusLine(news)}
      <div
        id="live"
        ${live ? html`data-stream="${stream}"` : html``}
        data-version="${versionOf(run)}"
      >
        ${answerNote(news)} ${storyHtml(news)}
        <h2>What happened</h2>
        ${timeline(run)} ${callsOf(run)}
        <h2>Plan</h2>
        ${planOf(news)}
        <h2>Why</h2>
        ${whyOf(run)}
        <h2>Approval</h2>
        ${approvalFacts(news)}
        <h2>Diagnostics</h2>
        ${artefactsOf(news)}
        <h2>Alerts</h2>
        ${alertsOf(run)}
        <h2>Who was told</h2>
        ${toldOf(told)}
      </div>
      <div id="actions">${runActions(news, viewer)}</div>`,
    { place: "/runs", ...(live ? { refreshSeconds: REFRESH_SECONDS } : {}) },
  );
}

/** Grows with every row of the record. */
function versionOf({ record }: Pick<RunFacts, "record">): string {
  return record.at(-1)?.id ?? "0";
}

function statusLine(news: RunNews): Html {
  const { run, finishedAt } = news;
  const { title, status } = storyOf(news);
  const said = status === "" ? title.replace(/:.*$/s, "") : status;
  const when =
    finishedAt === undefined
      ? html`since ${time(run.stateSince)}`
      : html`ended ${time(finishedAt)}`;
  return html`<p id="run-status" role="status">${badge(run.state)} ${shown(said, 600)} (${when})</p>
    ${run.retryOf === undefined ? html`` : html`<p>It repeats ${runLink(run.retryOf)}.</p>`}`;
}

function answerNote(news: RunNews): Html {
  const { approval } = news;
  if (!isAsked(news) || approval === undefined) return html``;
  return html`<p class="notice">
    This run waits for an answer:
    <a href="/approvals/${encodeURIComponent(approval.id)}">the question</a>.
  </p>`;
}

function timeline({ record, recordCut, news }: RunFacts): Html {
  const more = html`<p>Only the newest ${String(record.length)} rows are shown.</p>`;
  return html`${recordCut ? more : html``}
  ${table({
    caption: "The record, oldest first",
    columns: ["Time", "What", "By", { name: "Until the next", number: true }, "Detail"],
    rows: record.map((row, at) => {
      const next = record[at + 1]?.at ?? (news.finishedAt === undefined ? news.run.now : undefined);
      return [
        time(row.at),
        words(row.event),
        shown(row.actor),
        next === undefined ? "–" : durationOf(row.at, next),
        detailOf(row),
      ];
    }),
    empty: "There is no record.",
  })}`;
}

/** To a tenth of a second below a minute and a half. */
function durationOf(from: Date, to: Date): string {
  const seconds = Math.max(0, (to.getTime() - from.getTime()) / 1000);
  return seconds < 90 ? `${seconds.toFixed(1)} s` : spanOf(from, to);
}

const DETAIL_MAX = 240;
/** Shown elsewhere on the page, and large. */
const KNOWN_DETAIL: ReadonlySet<string> = new Set(["plan", "plan_hash", "path", "trigger"]);

function detailOf({ detail }: RecordRow): string {
  const parts = Object.entries(detail)
    .filter(([name]) => !KNOWN_DETAIL.has(name))
    .map(
      ([name, value]) =>
        `${words(name)}: ${typeof value === "string" ? value : JSON.stringify(value)}`,
    );
  return shown(parts.join("; "), DETAIL_MAX);
}

const CALLS: ReadonlySet<string> = new Set(["progress", "executed", "skipped_dry_run"]);

/** What was asked of the cluster, as far as the record tells: each line is written behind the call. */
function callsOf({ record, news }: RunFacts): Html {
  const { plan } = news.run;
  const calls = record.filter(({ event }) => CALLS.has(event));
  if (plan === undefined || calls.length === 0) return html``;
  const what = (row: RecordRow) => {
    if (row.event === "executed")
      return row.detail["already_done"] === true
        ? `${plan.action}: it had arrived before, nothing was sent again`
        : plan.action;
    if (row.event === "skipped_dry_run") return `${plan.action}, as a server-side dry run`;
    return detailOf(row);
  };
  return table({
    caption: "Calls to the cluster",
    columns: ["Time", "Target", "Call"],
    rows: calls.map((row) => [time(row.at), shown(news.run.targetKey), words(what(row))]),
    empty: "",
  });
}

function planOf({ run }: RunNews): Html {
  const { plan, preflight, rollback, rule } = run;
  if (plan === undefined) return html`<p>Nothing was planned.</p>`;
  return html`${facts([
    ["Plan", lines(plan.summary)],
    ["Policy's line", rule === undefined ? undefined : shown(rule.text, 600)],
    ["Its hash", html`<code>${run.planHash ?? ""}</code>`],
    ["To take it back", rollback === undefined ? undefined : lines(rollback)],
  ])}
  ${table({
    caption: "What the preflight found",
    columns: ["About", "Weight", "Finding"],
    rows: preflight.map(({ about, severity, text }) => [words(about), severity, shown(text, 600)]),
    empty: "The preflight found nothing to tell.",
  })}`;
}

function whyOf({ decision, news }: RunFacts): Html {
  if (decision === undefined) return html`<p>It is not decided yet.</p>`;
  const { input } = decision;
  return html`<ol>
      ${decision.path.map((step) => html`<li>${shown(step, 600)}</li>`)}
    </ol>
    ${facts([
      ["Policy's version", html`<code>${decision.policy_sha256 ?? "not known"}</code>`],
      ["Its key", decision.key === undefined ? undefined : shown(decision.key)],
      ["Breaker of the target, before", breakerText(input.breakers.target)],
      ["Breaker of the app, before", breakerText(input.breakers.app)],
      ["Breaker of the target, now", `${news.breaker.hour} this hour, ${news.breaker.day} today`],
      ["Decided with", html`Fettle ${shown(decision.code_version)}`],
    ])}
    ${table({
      caption: "Keys of the policy that were looked at",
      columns: ["Key", "Result"],
      rows: decision.considered.map(({ key, result }) => [shown(key), result]),
      empty: "No key was looked at.",
    })}`;
}

function breakerText(state: BreakerState): string {
  if (state.kind === "unknown") return "not known";
  return `${state.usedHour} this hour, ${state.usedDay} today${state.open ? ", open" : ""}`;
}

function alertsOf({ alerts, news }: RunFacts): Html {
  const more =
    news.alerts.all > alerts.length ? ` (the first ${alerts.length} of ${news.alerts.all})` : "";
  return table({
    caption: `Alerts of this run${more}`,
    columns: ["Alert", "From", "Since", "Until", "Labels"],
    rows: alerts.map(({ source, labels, since, resolved }) => [
      shown(new Map(Object.entries(labels)).get("alertname") ?? "without a name"),
      shown(source),
      time(since),
      resolved === null ? "still firing" : time(resolved),
      shown(
        Object.entries(labels)
          .map(([name, value]) => `${name}="${value}"`)
          .join(", "),
        400,
      ),
    ]),
    empty: "Its alerts are no longer kept, or belong to a newer run.",
  });
}

function toldOf(told: RunFacts["told"]): Html {
  return table({
    caption: "What the channels were told",
    columns: [
      "Channel",
      { name: "Delivered", number: true },
      { name: "Waiting", number: true },
      { name: "Lost", number: true },
      "Last",
      "Trouble",
    ],
    rows: told.map(({ channel, delivered, waiting, lost, lastSent, problem }) => [
      words(channel),
      String(delivered),
      String(waiting),
      String(lost),
      lastSent === null ? "never" : time(lastSent),
      problem === null ? "" : shown(problem, 300),
    ]),
    empty: "No channel was told.",
  });
}

/** The same for programs. Members are added, never renamed or taken away. */
export function runJson({ news, record, recordCut, decision, alerts, told }: RunFacts) {
  const { run, approval, outcome, finishedAt, breaker, before, collection } = news;
  const story = storyOf(news);
  return {
    id: run.id,
    state: run.state,
    title: story.title,
    summary: story.summary,
    status: story.status,
    namespace: run.namespace,
    app: run.app,
    target: run.targetKey,
    runbook: run.runbook,
    sources: run.sources,
    trigger: run.trigger,
    rule: run.rule ?? null,
    plan: run.plan ?? null,
    planHash: run.planHash ?? null,
    preflight: run.preflight,
    rollback: run.rollback ?? null,
    requestedBy: run.requestedBy ?? null,
    retryOf: run.retryOf ?? null,
    outcome: outcome ?? null,
    createdAt: run.createdAt,
    stateSince: run.stateSince,
    deadlineAt: run.deadlineAt,
    finishedAt: finishedAt ?? null,
    approval: approval ?? null,
    breaker,
    before,
    collection: collection ?? null,
    decision: decision ?? null,
    alerts,
    alertCount: news.alerts,
    told,
    record,
    recordCut,
  };
}
