import { html, type Html } from "../../lib/pages/html.ts";
import type { AuditFilter, AuditListed, ChainFacts } from "./facts/find-audit.ts";
import { badge, input, pager, runLink, shown, sitePage, table, time, words } from "./parts.ts";
import { queryOf } from "./read-query.ts";

interface AuditPage {
  readonly rows: readonly AuditListed[];
  readonly next: string | undefined;
  readonly chain: ChainFacts | undefined;
}

/** The record, the newest row first. */
export function auditPage({ rows, next, chain }: AuditPage, filter: AuditFilter): string {
  const { after, limit, ...fields } = filter;
  const query = queryOf({ ...fields, limit });
  const exports = (format: string) => `/audit/export?${queryOf({ ...fields, format }).toString()}`;
  return sitePage(
    "Audit",
    html`${chainNote(chain)} ${filterForm(filter)}
      ${table({
        caption: `${rows.length} rows of the record, newest first`,
        columns: ["Time", "What", "By", "About", "Run", "Detail"],
        rows: rows.map((row) => [
          time(row.at),
          words(row.event),
          shown(row.actor),
          shown(row.target ?? [row.namespace, row.app].filter((part) => part !== null).join("/")),
          row.runId === null ? "–" : runLink(row.runId, "run"),
          html`<code>${shown(JSON.stringify(row.detail), DETAIL_MAX)}</code>`,
        ]),
        empty:
          queryOf(fields).size === 0
            ? "Nothing has happened yet."
            : "No row is like this. Take something out of the filter.",
      })}
      ${pager({ path: "/audit", query, first: after === undefined, next })}
      <p>
        The same rows, up to 10,000 of them: <a href="${exports("csv")}">CSV</a>,
        <a href="${exports("json")}">JSON</a>. The sealed record is the exporter's.
      </p>`,
    { place: "/audit" },
  );
}

const DETAIL_MAX = 400;

/** "Chain verified up to …". */
function chainNote(chain: ChainFacts | undefined): Html {
  if (chain === undefined)
    return html`<p>
      The chain of hashes has not been verified by the service yet;
      <code>fettle audit verify</code> does it now.
    </p>`;
  const { startedAt, rows, chains, problems, checkpoint } = chain;
  const noted = checkpoint === null ? "" : `; the newest checkpoint is number ${checkpoint}`;
  return problems === 0
    ? html`<p>
        Chain verified up to ${time(startedAt)}: ${rows} rows in ${chains} chains${noted}.
      </p>`
    : html`<p class="notice" role="alert">
        ${badge("look")} The chain of hashes is broken in ${String(problems)} places, seen
        ${time(startedAt)}. <code>fettle audit verify</code> names the rows.
      </p>`;
}

function filterForm(filter: AuditFilter): Html {
  return html`<form class="filter" method="get" action="/audit">
    ${input("run", "Run", filter.run)} ${input("event", "What", filter.event)}
    ${input("actor", "By", filter.actor)} ${input("namespace", "Namespace", filter.namespace)}
    ${input("app", "App", filter.app)} ${input("from", "From (UTC)", filter.from?.toISOString())}
    ${input("to", "Before (UTC)", filter.to?.toISOString())}
    <button type="submit">Show</button>
  </form>`;
}
