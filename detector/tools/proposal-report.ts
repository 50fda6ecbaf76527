import { html, type Html } from "../../lib/pages/html.ts";
import { reportPage } from "../../lib/pages/report.ts";
import type { MetricHistory } from "./history.ts";
import type { ChangedAlert, Proposal, ThresholdRecord } from "./propose.ts";
import { alertList, iso, type ReportedAlert } from "./report-page.ts";

/** The proposed threshold beside the one in use, with a chart for each alert that only one of them raises. */
export function renderProposal(
  { labels, current, proposed, lost, gained }: Proposal,
  history: readonly MetricHistory[],
  period: { readonly from: number; readonly to: number },
): string {
  const { real, falsePositive, expectedChange, notReplayable } = labels;
  return reportPage(`Proposed threshold, ${iso(period.from)} to ${iso(period.to)}`, [
    html`<p>
      Labels: ${String(real)} real, ${String(falsePositive)} false positive. Not counted:
      ${String(expectedChange)} expected changes, ${String(notReplayable)} that cannot be replayed.
      Nothing was changed.
    </p>`,
    table(current, proposed),
    alertList("Alerts lost", lost.map(reported), history),
    alertList("Alerts gained", gained.map(reported), history),
  ]);
}

function table(current: ThresholdRecord, proposed: ThresholdRecord): Html {
  const percent = (share: number | undefined) =>
    share === undefined ? "–" : `${(100 * share).toFixed(0)} %`;
  const rows: readonly (readonly [string, (record: ThresholdRecord) => string])[] = [
    ["AIOPS_SCORE_THRESH", ({ threshold }) => String(threshold)],
    ["Alerts", ({ alerts }) => String(alerts)],
    ["Alerts per day", ({ alertsPerDay }) => alertsPerDay.toFixed(2)],
    ["Real ones raised", ({ real }) => String(real)],
    ["False positives raised", ({ falsePositive }) => String(falsePositive)],
    ["Precision on labels", ({ precision }) => percent(precision)],
    ["Recall on labels", ({ recall }) => percent(recall)],
  ];
  return html`<table>
    <tr>
      <td></td>
      <th scope="col">in use</th>
      <th scope="col">proposed</th>
    </tr>
    ${rows.map(
      ([name, value]) =>
        html`<tr>
          <th scope="row">${name}</th>
          <td>${value(current)}</td>
          <td>${value(proposed)}</td>
        </tr>`,
    )}
  </table>`;
}

function reported({ label, ...alert }: ChangedAlert): ReportedAlert {
  return { ...alert, note: label === undefined ? undefined : `Labelled ${label}.` };
}
