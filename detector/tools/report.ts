import { html, Html } from "../../lib/pages/html.ts";
import { STYLESHEET } from "../../lib/pages/layout.ts";
import { chartOf } from "../pages/chart.ts";
import type { ReplayedEpisode } from "../replay.ts";
import { seriesId } from "../series.ts";
import type { Point } from "../types.ts";
import type { Backtest } from "./backtest.ts";
import type { MetricHistory } from "./history.ts";

/** Charts at most: a page of 50 has about 1 MB. */
const CHARTS_MAX = 50;
const POINTS_AROUND = 90;

interface Alert {
  readonly metric: string;
  readonly series: string;
  readonly episode: ReplayedEpisode;
}

/** A page that stands alone (a file needs its styles inside), with a chart for each alert. */
export function renderReport(
  { judgement, replays }: Backtest,
  history: readonly MetricHistory[],
  period: { readonly from: number; readonly to: number },
): string {
  const alerts = replays.flatMap(({ metric, series, episodes }) =>
    episodes.map((episode) => ({ metric, series, episode })),
  );
  const title = `Backtest ${iso(period.from)} to ${iso(period.to)}`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – Fettle</title>
        <style>
          ${new Html(STYLESHEET)}
        </style>
      </head>
      <body>
        <main class="wide">
          <h1>${title}</h1>
          ${summary(judgement)}
          <h2>Alerts</h2>
          ${alerts.length === 0 ? html`<p>None.</p>` : alerts.slice(0, CHARTS_MAX).map((alert) => section(alert, history))}
          ${alerts.length > CHARTS_MAX ? html`<p>${String(alerts.length - CHARTS_MAX)} more are not shown.</p>` : html``}
        </main>
      </body>
    </html>`.text;
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

function section({ metric, series, episode }: Alert, history: readonly MetricHistory[]): Html {
  const { naming, watch } = episode.episode;
  const reason = `${naming.reason} ${naming.direction}`;
  const closed =
    episode.closedAt === undefined
      ? "still open"
      : `until ${iso(episode.closedAt)} (${episode.cause ?? ""})`;
  return html`<section>
    <h3>${metric} ${series}: ${reason}</h3>
    <p>From <time datetime="${iso(episode.openedAt)}">${iso(episode.openedAt)}</time> ${closed}</p>
    ${chartOf({
      title: `${metric} ${series}`,
      points: pointsAround(metric, series, episode.openedAt, history),
      band: watch.stream === "value" ? watch.band : undefined,
      limit: undefined,
      openedAt: episode.openedAt,
      closedAt: episode.closedAt,
    })}
  </section>`;
}

function pointsAround(
  metric: string,
  series: string,
  t: number,
  history: readonly MetricHistory[],
): readonly Point[] {
  const own = history
    .find(({ query }) => query.name === metric)
    ?.series.find(({ labels }) => seriesId(labels) === series);
  const points = own?.points ?? [];
  const at = points.findIndex((point) => point.t >= t);
  return points.slice(Math.max(0, at - POINTS_AROUND), at + POINTS_AROUND);
}

function iso(t: number): string {
  return new Date(t).toISOString();
}
