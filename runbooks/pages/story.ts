import { html, type Html } from "../../lib/pages/html.ts";
import type { RunNews } from "../notify/compose.ts";
import { isAsked, storyOf } from "../notify/message.ts";
import { labelOf } from "../notify/words.ts";
import { facts, lines, runLink, shown, time, timeOr, words } from "./parts.ts";
import { sparkChart } from "./spark-chart.ts";

/** What the channels say about a run, in the same words and order. */
export function storyHtml(news: RunNews): Html {
  const story = storyOf(news);
  const { approval, run } = news;
  const asked = isAsked(news) && approval !== undefined;
  const trend = labelOf(run.trigger.annotations, "sparkline");
  const chart = trend === undefined ? undefined : sparkChart("Trend before the alert", trend);
  return html`${dryRunNote(story.dryRun)}
    <p>${story.context.map((part, at) => html`${at === 0 ? "" : " · "}${shown(part)}`)}</p>
    ${facts([
      ["What fired", lines(story.fired)],
      ...story.facts
        .filter(({ name }) => name !== "Expires")
        .map(({ name, value }) => [name, lines(value)] as const),
      ["Expires", asked ? html`${time(approval.expiresAt)}, then it is rejected` : undefined],
      ["Target", shown(run.targetKey)],
      ["Runbook", shown(run.runbook)],
      ["Run", runLink(run.id)],
    ])}
    ${
      chart === undefined
        ? html``
        : html`<h2>Evidence</h2>
            ${chart}`
    }`;
}

function dryRunNote(dryRun: boolean): Html {
  return dryRun ? html`<p><span class="badge">DRY-RUN</span> Nothing will be changed.</p>` : html``;
}

/** Who was asked, and what they said. */
export function approvalFacts({ approval }: RunNews): Html {
  if (approval === undefined) return html`<p>Nobody was asked.</p>`;
  const { quorum, approvers, votes, decidedBy, decidedAt, reason, state } = approval;
  return facts([
    ["Request", html`<a href="/approvals/${encodeURIComponent(approval.id)}">${approval.id}</a>`],
    ["State", words(state)],
    ["Asked", time(approval.createdAt)],
    ["Expires", time(approval.expiresAt)],
    ["Who may answer", approvers.length === 0 ? "nobody" : shown(approvers.join(", "), 600)],
    ["People needed", String(quorum)],
    ["Said yes", votes.length === 0 ? "nobody yet" : shown(votes.join(", "), 600)],
    [
      "Decided",
      decidedBy === undefined ? undefined : html`by ${shown(decidedBy)}, ${timeOr(decidedAt, "")}`,
    ],
    ["Reason", reason === undefined ? undefined : lines(reason)],
  ]);
}
