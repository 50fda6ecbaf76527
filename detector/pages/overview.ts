import { html, type Html } from "../../lib/pages/html.ts";
import { page } from "../../lib/pages/layout.ts";
import { scoreOf, tell } from "../last-words.ts";
import { newestValues } from "../score.ts";
import type { Series } from "../series.ts";
import type { Anomaly } from "../types/anomaly.ts";
import type { WatchedMetric } from "../watched-metric.ts";
import { short, summaryOf } from "../words.ts";
import { sparkChart } from "./chart.ts";
import { timeElement } from "./time.ts";

/** Series drawn of one metric: open anomalies first, then the highest scores. The first view stays below 100 KiB. */
const SERIES_SHOWN = 10;

/** What is watched, and how it is. */
export function overviewPage(
  watched: readonly WatchedMetric[],
  closed: readonly Anomaly[],
): string {
  const open = watched.flatMap(({ series }) =>
    [...series.values()].flatMap(({ anomaly }) => anomaly ?? []),
  );
  return page(
    "Is anything strange?",
    html`<h2>Open anomalies</h2>
      ${open.length === 0 ? html`<p>Nothing is open.</p>` : anomalyList(open)}
      <h2>Metrics</h2>
      ${watched.map(metricSection)}
      <h2>Lately closed</h2>
      ${closed.length === 0 ? html`<p>None.</p>` : anomalyList(closed)}
      <p><a href="/anomalies">All anomalies</a></p>`,
    { wide: true },
  );
}

function anomalyList(anomalies: readonly Anomaly[]): Html {
  return html`<ul>
    ${anomalies.map(
      (anomaly) =>
        html`<li>
          <span class="badge">${anomaly.severity}</span>
          <a href="/anomalies/${encodeURIComponent(anomaly.id)}">${summaryOf(anomaly)}</a>,
          ${timeElement(anomaly.openedAt)}
          ${anomaly.namespace === "" && anomaly.app === "" ? "" : `(${anomaly.namespace}/${anomaly.app})`}
        </li>`,
    )}
  </ul>`;
}

function metricSection(metric: WatchedMetric): Html {
  const { query, series } = metric;
  const shown = [...series.values()].sort(byUrgency).slice(0, SERIES_SHOWN);
  const hidden = series.size - shown.length;
  return html`<table>
    <caption>
      ${query.name}: ${stateOf(metric)}
      <code>${query.expr}</code>
    </caption>
    <thead>
      <tr>
        <th scope="col">Series</th>
        <th scope="col" class="number">Value</th>
        <th scope="col" class="number">Score</th>
        <th scope="col">State</th>
        <th scope="col">Newest values</th>
      </tr>
    </thead>
    <tbody>
      ${shown.map(seriesRow)}
      ${
        hidden > 0
          ? html`<tr>
              <td colspan="5">and ${String(hidden)} more</td>
            </tr>`
          : html``
      }
    </tbody>
  </table>`;
}

function byUrgency(left: Series, right: Series): number {
  const rank = ({ anomaly, last }: Series): number =>
    (anomaly === undefined ? 0 : 2) + (last === undefined ? 0 : scoreOf(last));
  return rank(right) - rank(left);
}

function stateOf({ fault, evaluatedUntil, silentUntil, series, watcher }: WatchedMetric): string {
  if (watcher === "another") return "another replica watches it.";
  if (watcher === "nobody") return "waiting for a replica to watch it.";
  if (fault !== undefined) return `not answered (${fault.kind}: ${fault.message}).`;
  if (evaluatedUntil < silentUntil) return "its past is being read.";
  return series.size === 0 ? "answered, without any series." : "answered.";
}

function seriesRow({ labels, last, anomaly, state }: Series): Html {
  const names = Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(", ");
  const newest = newestValues(state);
  return html`<tr>
    <th scope="row">{${names}}</th>
    <td class="number">${last === undefined ? "–" : short(tell(last).value)}</td>
    <td class="number">${last === undefined ? "–" : scoreOf(last).toFixed(2)}</td>
    <td>
      ${
        anomaly === undefined
          ? "quiet"
          : html`<a href="/anomalies/${encodeURIComponent(anomaly.id)}">${anomaly.reason}</a>`
      }
    </td>
    <td>${sparkChart(`${String(newest.length)} newest values`, newest)}</td>
  </tr>`;
}
