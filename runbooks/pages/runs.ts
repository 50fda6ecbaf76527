import { html, type Html } from "../../lib/pages/html.ts";
import { STATE_CHOICES, type RunFilter, type RunListed, type RunPage } from "./facts/find-runs.ts";
import {
  input,
  pager,
  runLink,
  select,
  shown,
  sitePage,
  table,
  time,
  timeOr,
  words,
} from "./parts.ts";
import { queryOf } from "./read-query.ts";

/** All runs, page by page; the filter stands in the address. */
export function runsPage({ runs, next }: RunPage, filter: RunFilter): string {
  const { after, ...rest } = filter;
  const query = queryOf(rest);
  return sitePage(
    "Runs",
    html`${filterForm(filter)}
    ${runTable(runs, `${runs.length} runs, newest first`, emptyWords(query))}
    ${pager({ path: "/runs", query, first: after === undefined, next })}`,
    { place: "/runs" },
  );
}

function emptyWords(query: URLSearchParams): string {
  return query.size === 0
    ? "No alert has asked for anything yet."
    : "No run is like this. Take something out of the filter.";
}

function filterForm(filter: RunFilter): Html {
  const choices = [
    { value: "", text: "every state" },
    ...STATE_CHOICES.map((value) => ({ value, text: words(value) })),
  ];
  return html`<form class="filter" method="get" action="/runs">
    ${select("state", "State", filter.state ?? "", choices)}
    ${input("namespace", "Namespace", filter.namespace)} ${input("app", "App", filter.app)}
    ${input("runbook", "Runbook", filter.runbook)}
    ${input("from", "From (UTC)", filter.from?.toISOString())}
    ${input("to", "Before (UTC)", filter.to?.toISOString())} ${input("q", "Text", filter.q)}
    <button type="submit">Show</button>
  </form>`;
}

export function runTable(runs: readonly RunListed[], caption: string, empty: string): Html {
  return table({
    caption,
    columns: ["Run", "State", "Alert", "Began", "Ended", "Plan or outcome"],
    rows: runs.map((run) => [
      runLink(run.id, `${run.namespace}/${run.app}`),
      words(run.state),
      shown(run.alertname),
      time(run.createdAt),
      timeOr(run.finishedAt, "goes on"),
      shown(run.outcome ?? run.plan ?? ""),
    ]),
    empty,
  });
}
