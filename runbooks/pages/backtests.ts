import { html, type Html } from "../../lib/pages/html.ts";
import type { FoundBacktest, KeptBacktest } from "../backtest/kept.ts";
import { backtestContent } from "../backtest/page.ts";
import type { Viewer } from "./access.ts";
import { csrfField } from "./breakers.ts";
import { facts, shown, sitePage, table, time } from "./parts.ts";

/** What was tried before, and a form for the next policy. */
export function backtestsPage(kept: readonly KeptBacktest[], viewer: Viewer): string {
  return sitePage(
    "Backtests",
    html`<p>
        What would another policy have done about the alerts of the past, and what would have
        changed against the one in force? Nothing is done, and the policy in force stays.
      </p>
      ${table({
        caption: "The newest backtests",
        columns: [
          "When",
          "By",
          { name: "Days", number: true },
          { name: "Alerts", number: true },
          { name: "Actions then", number: true },
          { name: "Actions with it", number: true },
        ],
        rows: kept.map((one) => [
          html`<a href="/backtests/${encodeURIComponent(one.id)}">${time(one.createdAt)}</a>`,
          shown(one.by),
          String(one.days),
          String(one.alerts),
          String(one.actionsBefore),
          String(one.actions),
        ]),
        empty: "Nobody has tried a policy here yet.",
      })}
      <h2>Try a policy</h2>
      ${form(viewer)}`,
    { place: "/backtests" },
  );
}

function form(viewer: Viewer): Html {
  return html`<form method="post" action="/backtests">
    ${csrfField(viewer)}
    <label for="policy">Policy: rules, a map of keys, or the ConfigMap's manifest</label>
    <textarea id="policy" name="policy" rows="8" required></textarea>
    <label for="days">Days of the past (1 to 90)</label>
    <input type="text" id="days" name="days" value="7" inputmode="numeric" maxlength="2" required />
    <label for="by">Your name</label>
    <input type="text" id="by" name="by" maxlength="100" autocomplete="username" required />
    <button type="submit">Try it</button>
    <p>
      At most 200,000 alerts are lived through here; <code>fettle backtest policy</code> takes any
      number, and Prometheus' history.
    </p>
  </form>`;
}

export function backtestPage({ id, createdAt, by, days, policy, report }: FoundBacktest): string {
  return sitePage(
    "Policy backtest",
    html`${facts([
        ["Backtest", id],
        ["Tried", html`${time(createdAt)} by ${shown(by)}, over ${String(days)} days`],
      ])}
      ${backtestContent(report)}
      <details>
        <summary>The policy as it was pasted</summary>
        <pre>${policy}</pre>
      </details>`,
    { place: "/backtests" },
  );
}
