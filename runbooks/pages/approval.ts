import { html, type Html } from "../../lib/pages/html.ts";
import type { Approval } from "../approval/answer.ts";
import type { RunNews } from "../notify/compose.ts";
import { isAsked, storyOf } from "../notify/message.ts";
import type { Viewer } from "./access.ts";
import { runLink, shown, sitePage, table, time, words } from "./parts.ts";
import { approvalFacts, storyHtml } from "./story.ts";

export interface ApprovalPage {
  readonly approval: Approval;
  readonly news: RunNews;
}

export type Verdict = "approve" | "reject";

/** The question to one person, behind that person's own link. Looking decides nothing: only its form does, by POST. */
export function personalPage(
  { approval, news }: ApprovalPage,
  {
    approver,
    token,
    verdict,
  }: { readonly approver: string; readonly token: string; readonly verdict: Verdict },
): string {
  const { run } = news;
  const doing = verdict === "approve" ? "Approve" : "Reject";
  return sitePage(
    `${doing}: ${shown(`${run.namespace}/${run.app}`)}?`,
    html`${storyHtml(news)} ${preflightOf(news)}
      <h2>Your answer</h2>
      <p>
        You answer as <strong>${shown(approver)}</strong>. You are recorded as the one who decided.
      </p>
      <form method="post" action="/${verdict}">
        <input type="hidden" name="id" value="${approval.id}" />
        <input type="hidden" name="token" value="${token}" />
        ${reasonField()} ${buttons(verdict)}
      </form>`,
  );
}

/** The same facts for whoever may see the pages; to answer, one has to prove who one is. */
export function approvalPage({ approval, news }: ApprovalPage, viewer: Viewer): string {
  const { run } = news;
  return sitePage(
    shown(storyOf(news).title, 300),
    html`${newerNote(approval, news)} ${storyHtml(news)} ${preflightOf(news)}
      <h2>Answer</h2>
      ${isAnswerable(approval, news) ? answerForm(approval, viewer) : decidedNote(approval, news)}
      <h2>Who is asked</h2>
      ${approvalFacts(news)}
      <p>Everything about it: ${runLink(run.id, "the run")}.</p>`,
    { place: "/approvals" },
  );
}

function isAnswerable({ id, state }: Approval, news: RunNews): boolean {
  return state === "pending" && isAsked(news) && news.approval?.id === id;
}

function newerNote({ id }: Approval, { approval }: RunNews): Html {
  if (approval === undefined || approval.id === id) return html``;
  return html`<p class="notice">
    This request is no longer the newest of its run:
    <a href="/approvals/${encodeURIComponent(approval.id)}">the newest one</a>.
  </p>`;
}

function decidedNote({ state, decidedBy }: Approval, { run, approval }: RunNews): Html {
  const by = decidedBy === undefined ? "" : ` by ${shown(decidedBy)}`;
  const at = approval?.decidedAt === undefined ? html`` : html`, ${time(approval.decidedAt)}`;
  return html`<p class="notice">
    Already decided: this request is ${words(state)}${by}${at}. Nothing is left to answer; the run
    is ${words(run.state)}.
  </p>`;
}

/** The pages' token is the same for all who look: who answers is proven by the link that only that person has. */
function answerForm({ id, runId }: Approval, { kind }: Viewer): Html {
  const who =
    kind === "loopback" ? "You look from this machine" : "You are signed in with the pages' token";
  return html`<p>
      ${who}, which does not say who you are. To answer, paste your personal link: it came by
      e-mail, or whoever runs Fettle gets it with <code>fettle runs ${runId} --links</code>.
    </p>
    <form method="post" action="/approve">
      ${NO_DEFAULT}
      <input type="hidden" name="id" value="${id}" />
      <label for="token">Your personal link, or its token</label>
      <input type="password" id="token" name="token" maxlength="2000" autocomplete="off" required />
      ${reasonField()} ${buttons("approve")}
    </form>`;
}

/** The Enter key presses a form's first button: here it must not decide what nobody has chosen. */
const NO_DEFAULT = html`<button type="submit" disabled hidden></button>`;

function reasonField(): Html {
  return html`<label for="reason">Reason (optional)</label>
    <input type="text" id="reason" name="reason" maxlength="500" />`;
}

/** The first button is the one that Enter presses. */
function buttons(first: Verdict): Html {
  const button = (verdict: Verdict) =>
    html`<button type="submit" formaction="/${verdict}">
      ${verdict === "approve" ? "Approve" : "Reject"}
    </button>`;
  return first === "approve"
    ? html`${button("approve")} ${button("reject")}`
    : html`${button("reject")} ${button("approve")}`;
}

function preflightOf({ run }: RunNews): Html {
  if (run.preflight.length === 0) return html``;
  return table({
    caption: "What the preflight found",
    columns: ["About", "Weight", "Finding"],
    rows: run.preflight.map(({ about, severity, text }) => [
      words(about),
      severity,
      shown(text, 600),
    ]),
    empty: "",
  });
}

/** What became of it, said calmly also to the one who came second. */
export function answeredPage(title: string, text: string, runId: string | undefined): string {
  return sitePage(
    title,
    html`<p role="status">${shown(text, 600)}</p>
      ${runId === undefined ? html`` : html`<p>${runLink(runId, "The run")} (for those who may see the pages).</p>`}`,
    { wide: false },
  );
}

/** For programs. Members are added, never renamed or taken away. */
export function approvalJson({ approval, news }: ApprovalPage) {
  const story = storyOf(news);
  return {
    id: approval.id,
    runId: approval.runId,
    state: approval.state,
    answerable: isAnswerable(approval, news),
    planHash: approval.planHash,
    plan: approval.plan,
    expiresAt: approval.expiresAt,
    decidedBy: approval.decidedBy ?? null,
    quorum: approval.quorum,
    votes: approval.votes.map(({ person }) => person),
    approvers: news.approval?.approvers ?? [],
    title: story.title,
    summary: story.summary,
    context: story.context,
    facts: story.facts,
    preflight: news.run.preflight,
  };
}
