import { html, type Html } from "../../lib/pages/html.ts";
import { reportPage } from "../../lib/pages/report.ts";
import type { Share } from "../wilson.ts";
import { barChart, type Bar } from "./chart.ts";
import type { Difference } from "./compare.ts";
import type { BacktestReport } from "./replay.ts";
import type { Tally } from "./tally.ts";

/** Rows of a table at most: the JSON has all of them. */
const ROWS_MAX = 200;
const BARS_MAX = 120;

/** A page that stands alone: styles inside, charts as SVG, no script. */
export function renderBacktest(report: BacktestReport): string {
  return reportPage("Policy backtest", [backtestContent(report)]);
}

/** What stands below the title. */
export function backtestContent(report: BacktestReport): Html {
  const { policy, against, difference } = report;
  return html`${facts(report)}
  ${difference === null || against === null ? html`` : differenceOf(difference, against.tally, policy.tally)}
  ${tallyOf(policy.tally)}`;
}

function facts({ policy, against, settings, source, sha256, codeVersion }: BacktestReport): Html {
  const { tally } = policy;
  return html`<dl>
    <dt>Alerts</dt>
    <dd>${span(tally)} (source: ${source})</dd>
    <dt>Policy</dt>
    <dd><code>${policy.sha256}</code></dd>
    ${
      against === null
        ? html``
        : html`<dt>Compared with</dt>
            <dd><code>${against.sha256}</code></dd>`
    }
    <dt>Taken as given</dt>
    <dd>
      people answer after ${String(settings.approvalDelaySeconds)} s, the action is done
      ${String(settings.actionDelaySeconds)} s later, a target rests
      ${String(settings.cooldownSeconds)} s after a run, at most ${String(settings.maxHourly)}
      actions an hour and ${String(settings.maxDaily)} a day,
      ${settings.requireApproval ? "people are asked" : "nobody need be asked"},
      ${settings.workloads === null ? "it is not known how many workloads a namespace has" : `${settings.workloads} workloads in each namespace`}
    </dd>
    <dt>Report</dt>
    <dd>SHA-256 <code>${sha256}</code>, Fettle ${codeVersion}</dd>
  </dl>`;
}

function span({ alerts, firstAt, lastAt }: Tally): string {
  return firstAt === null || lastAt === null
    ? "none"
    : `${count(alerts)} from ${firstAt} to ${lastAt}`;
}

function differenceOf({ lines, actions, fates }: Difference, old: Tally, changed: Tally): Html {
  const both = (name: string, of: (tally: Tally) => number) => [
    name,
    count(of(old)),
    count(of(changed)),
  ];
  return html`<h2>What changes</h2>
    ${tableOf(
      "Old and new policy",
      ["Figure", "Old", "New"],
      [
        both("Actions", (tally) => tally.actions),
        both("Approvals asked for", ({ approvals }) => approvals.asked),
        both("Resolved by themselves first", ({ selfResolved }) => selfResolved.count),
        both("Breaker trips", ({ breaker }) => breaker.trips),
      ],
    )}
    ${tableOf(
      "Lines",
      ["Change", "Key", "For", "Old", "New"],
      lines.map((line) => [line.change, line.key, line.on, line.old ?? "", line.new ?? ""]),
    )}
    ${tableOf(
      "Actions",
      ["App", "Action", "Old", "New"],
      actions.map((change) => [change.app, change.action, count(change.old), count(change.new)]),
    )}
    ${tableOf(
      "Alerts that go another way",
      ["Alerts", "Old", "New", "The first"],
      fates.map((change) => [count(change.alerts), change.old, change.new, change.first]),
    )}`;
}

function tallyOf(tally: Tally): Html {
  const { actions, approvals, breaker, selfResolved, runs } = tally;
  return html`<h2>What the policy would have done</h2>
    ${tableOf(
      "In short",
      ["Figure", "Value"],
      [
        ["Runs", count(runs)],
        ["Actions", count(actions)],
        ["Approvals people would have been asked for", count(approvals.asked)],
        ["… whose alert was over before the answer", count(approvals.resolvedBeforeAnswer)],
        ["… that would have expired", count(approvals.expired)],
        ["Resolved by themselves before the action", shareText(selfResolved)],
        ["Breaker trips", count(breaker.trips)],
        ["Runs that the breaker refused", count(breaker.refusals)],
      ],
    )}
    <h3>Actions per day</h3>
    ${barChart("Actions per day (UTC)", daySums(tally))}
    <h3>Actions per app</h3>
    ${barChart("Actions per app", appBars(tally))}
    ${tableOf(
      "Apps",
      ["App", "Actions", "Asked", "Resolved by themselves", "Breaker trips", "Refused by it"],
      tally.apps.map((app) => [
        app.app,
        count(app.actions),
        count(app.asked),
        count(app.selfResolved),
        count(app.breakerTrips),
        count(app.breakerRefusals),
      ]),
    )}
    ${tableOf(
      "Actions per app and day",
      ["Day", "App", "Action", "Actions"],
      tally.days.map(({ day, app, action, actions: n }) => [day, app, action, count(n)]),
    )}
    ${tableOf(
      "Lines of the policy",
      ["Key", "Line", "Asked", "Unasked", "Watched", "Actions", "Resolved by themselves"],
      tally.lines.map((line) => [
        line.key,
        line.text,
        count(line.asked),
        count(line.unasked),
        count(line.watched),
        count(line.actions),
        shareText(line.selfResolved),
      ]),
    )}
    ${tableOf("What became of the alerts", ["Outcome", "Alerts"], counted(tally.fates))}
    ${tableOf("No line is for", ["Trigger", "Runs"], counted(tally.withoutRule))}`;
}

function counted(counts: Readonly<Record<string, number>>): readonly (readonly string[])[] {
  return Object.entries(counts)
    .sort(([left, one], [right, other]) => other - one || (left < right ? -1 : 1))
    .map(([name, n]) => [name, count(n)]);
}

function daySums({ days }: Tally): readonly Bar[] {
  const sums = new Map<string, number>();
  for (const { day, actions } of days) sums.set(day, (sums.get(day) ?? 0) + actions);
  return [...sums].slice(-BARS_MAX).map(([name, value]) => ({ name, value }));
}

function appBars({ apps }: Tally): readonly Bar[] {
  return apps
    .filter(({ actions }) => actions > 0)
    .toSorted((one, other) => other.actions - one.actions)
    .slice(0, 20)
    .map(({ app, actions }) => ({ name: app, value: actions }));
}

function tableOf(
  caption: string,
  header: readonly string[],
  rows: readonly (readonly string[])[],
): Html {
  if (rows.length === 0) return html`<p>${caption}: none.</p>`;
  const hidden = rows.length - ROWS_MAX;
  const more = hidden > 0 ? ` (the first ${ROWS_MAX}; ${hidden} more are in the JSON)` : "";
  const kinds = header.map((_, column) =>
    rows.every((row) => /^[\d,]+$/.test(row[column] ?? "")) ? "number" : "text",
  );
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <caption>
        ${caption}${more}
      </caption>
      <thead>
        <tr>
          ${header.map((title, column) => html`<th scope="col" class="${kinds[column] ?? ""}">${title}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.slice(0, ROWS_MAX).map(
          (row) =>
            html`<tr>
              ${row.map((cell, column) => html`<td class="${kinds[column] ?? ""}">${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** Digits in groups of three, the same on every machine. */
function count(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

function shareText({ count: some, of, low, high }: Share): string {
  if (of === 0) return "no case";
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  return `${count(some)} of ${count(of)} (${percent(low)} to ${percent(high)} at 95 %)`;
}
