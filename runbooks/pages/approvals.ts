import { html, type Html } from "../../lib/pages/html.ts";
import type { ApprovalFilter, ApprovalListed } from "./facts/find-approvals.ts";
import {
  badge,
  pager,
  runLink,
  select,
  shown,
  sitePage,
  table,
  time,
  words,
  type Cell,
} from "./parts.ts";
import { queryOf } from "./read-query.ts";

interface ApprovalList {
  readonly approvals: readonly ApprovalListed[];
  readonly next: string | undefined;
}

/** The queue: what waits for a person, the most urgent first; or what was decided. */
export function approvalsPage({ approvals, next }: ApprovalList, filter: ApprovalFilter): string {
  const { after, state = "pending", ...rest } = filter;
  return sitePage(
    "Approvals",
    html`<form class="filter" method="get" action="/approvals">
        ${select("state", "State", state, [
          { value: "pending", text: "waiting for an answer" },
          { value: "decided", text: "decided or expired" },
        ])}
        <button type="submit">Show</button>
      </form>
      ${state === "pending" ? waitingTable(approvals) : decidedTable(approvals)}
      ${pager({ path: "/approvals", query: queryOf({ state, ...rest }), first: after === undefined, next })}`,
    { place: "/approvals" },
  );
}

export function waitingTable(approvals: readonly ApprovalListed[]): Html {
  return table({
    caption: "Waiting for an answer, the most urgent first",
    columns: ["Question", "Plan", "Expires", "Said yes", "Run"],
    rows: approvals.map((approval) => [
      questionLink(approval),
      planCell(approval),
      time(approval.expiresAt),
      `${approval.votes} of ${approval.quorum}`,
      runLink(approval.runId, "run"),
    ]),
    empty: "Nothing waits for an answer.",
  });
}

function decidedTable(approvals: readonly ApprovalListed[]): Html {
  return table({
    caption: "Decided or expired, newest first",
    columns: ["Question", "Became", "By", "Plan", "Asked", "Run"],
    rows: approvals.map((approval) => [
      questionLink(approval),
      words(approval.state),
      approval.decidedBy === null ? "–" : shown(approval.decidedBy),
      planCell(approval),
      time(approval.createdAt),
      runLink(approval.runId, "run"),
    ]),
    empty: "Nothing was ever asked.",
  });
}

function questionLink({ id, namespace, app }: ApprovalListed): Html {
  return html`<a href="/approvals/${encodeURIComponent(id)}">${shown(`${namespace}/${app}`)}</a>`;
}

function planCell({ plan, dryRun }: ApprovalListed): Cell {
  const text = shown(plan ?? "");
  return dryRun ? html`${text} ${badge("DRY-RUN")}` : text;
}
