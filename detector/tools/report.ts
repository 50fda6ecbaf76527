import { html, type Html } from "../../lib/pages/html.ts";
import { reportPage } from "../../lib/pages/report.ts";
import type { Backtest } from "./backtest.ts";
import type { MetricHistory } from "./history.ts";
import { alertList, iso } from "./report-page.ts";

/** What the detector would have said, with a chart for each alert. */
export function renderReport(
  { judgement, replays }: Backtest,
  history: readonly MetricHistory[],
  period: { readonly from: number; readonly to: number },
): string {
  const alerts = replays.flatMap(({ metric, series, episodes }) =>
    episodes.map((episode) => ({ metric, series, episode })),
  );
  return reportPage(`Backtest ${iso(period.from)} to ${iso(period.to)}`, [
    summary(judgement),
    alertList("Alerts", alerts, history),
  ]);
}

function summary({
  series,
  points,
  alerts,
  alertsPerDay,
  byReason,
  labelled,
}: Backtest["judgement"]): Html {
  const percent = (share: number | undefined) =>
    share === undefined ? "–" : `${(100 * share).toFixed(0)} %`;
  const rows: readonly (readonly [string, string])[] = [
    ["Series", String(series)],
    ["Points", String(points)],
    ["Alerts", String(alerts)],
    ["Alerts per day", alertsPerDay.toFixed(2)],
    ...Object.entries(byReason).map(([reason, count]) => [reason, String(count)] as const),
    ...(labelled === undefined
      ? []
      : ([
          ["Precision", percent(labelled.precision)],
          ["Recall", `${percent(labelled.recall)} (${labelled.found} of ${labelled.windows})`],
          [
            "Median delay",
            labelled.medianDelaySeconds === undefined ? "–" : `${labelled.medianDelaySeconds} s`,
          ],
        ] as const)),
  ];
  return html`<table>
    ${rows.map(
      ([name, value]) =>
        html`<tr>
          <th scope="row">${name}</th>
          <td>${value}</td>
        </tr>`,
    )}
  </table>`;
}
