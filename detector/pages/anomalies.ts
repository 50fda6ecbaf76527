import { html, type Html } from "../../lib/pages/html.ts";
import { page } from "../../lib/pages/layout.ts";
import type { Anomaly, AnomalyFilter } from "../types/anomaly.ts";
import { summaryOf } from "../words.ts";
import { timeElement } from "./time.ts";

export interface AnomaliesPage {
  readonly anomalies: readonly Anomaly[];
  readonly filter: AnomalyFilter;
  /** Names of the metrics that are watched now. */
  readonly metrics: readonly string[];
  /** Query of the page with what is older; undefined when this is the end. */
  readonly older: string | undefined;
}

/** All that was ever found, newest first, page by page. */
export function anomaliesPage({ anomalies, filter, metrics, older }: AnomaliesPage): string {
  return page(
    "Anomalies",
    html`<p><a href="/">All metrics</a></p>
      ${filterForm(filter, metrics)}
      ${anomalies.length === 0 ? html`<p>There are none.</p>` : table(anomalies)}
      <p>
        ${filter.after === undefined ? html`` : html`<a href="/anomalies?${queryOf(filter)}">Newest</a>`}
        ${older === undefined ? html`` : html`<a href="/anomalies?${older}" rel="next">Older</a>`}
      </p>`,
    { wide: true },
  );
}

/** The filter as the query of a link; `after` only when it is given. */
export function queryOf({ limit, state, metric }: AnomalyFilter, after?: string): string {
  return new URLSearchParams({
    ...(state === undefined ? {} : { state }),
    ...(metric === undefined ? {} : { metric }),
    limit: String(limit),
    ...(after === undefined ? {} : { after }),
  }).toString();
}

function filterForm({ state, metric }: AnomalyFilter, watched: readonly string[]): Html {
  // What is no longer watched can still be looked for, by its address.
  const metrics = metric === undefined || watched.includes(metric) ? watched : [metric, ...watched];
  return html`<form class="filter" method="get" action="/anomalies">
    <div>
      <label for="state">State</label>
      <select id="state" name="state">
        ${option("", "open and closed", state === undefined)}
        ${option("open", "open", state === "open")}
        ${option("closed", "closed", state === "closed")}
      </select>
    </div>
    <div>
      <label for="metric">Metric</label>
      <select id="metric" name="metric">
        ${option("", "every metric", metric === undefined)}
        ${metrics.map((name) => option(name, name, name === metric))}
      </select>
    </div>
    <button type="submit">Show</button>
  </form>`;
}

function option(value: string, text: string, selected: boolean): Html {
  return html`<option value="${value}" ${selected ? html`selected` : html``}>${text}</option>`;
}

function table(anomalies: readonly Anomaly[]): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Anomalies">
    <table>
      <caption>
        ${String(anomalies.length)} anomalies, newest first
      </caption>
      <thead>
        <tr>
          <th scope="col">Opened</th>
          <th scope="col">What happened</th>
          <th scope="col">Target</th>
          <th scope="col">Severity</th>
          <th scope="col">State</th>
        </tr>
      </thead>
      <tbody>
        ${anomalies.map(row)}
      </tbody>
    </table>
  </div>`;
}

function row(anomaly: Anomaly): Html {
  const { id, openedAt, closedAt, closeCause, severity } = anomaly;
  const target = [anomaly.namespace, anomaly.app].filter((part) => part !== "").join("/");
  return html`<tr>
    <td>${timeElement(openedAt)}</td>
    <th scope="row"><a href="/anomalies/${encodeURIComponent(id)}">${summaryOf(anomaly)}</a></th>
    <td>${target === "" ? "–" : target}</td>
    <td>${severity}</td>
    <td>
      ${closedAt === undefined ? html`open` : html`${timeElement(closedAt)}, ${closeCause?.replaceAll("_", " ") ?? ""}`}
    </td>
  </tr>`;
}
