import { html, type Html } from "../../lib/pages/html.ts";
import { page } from "../../lib/pages/layout.ts";
import type { Around } from "../around.ts";
import type { Anomaly } from "../types/anomaly.ts";
import type { AnomalyLabel } from "../types/labels.ts";
import type { Point, StreamName, ZScore } from "../types/scoring.ts";
import { bandInWords, explainInWords, short, STREAM_WORDS, summaryOf } from "../words.ts";
import { chartOf } from "./chart.ts";
import { labelForm, labelList, type TypedLabel } from "./label-form.ts";
import { timeElement } from "./time.ts";

export interface AnomalyPage {
  readonly anomaly: Anomaly;
  readonly around: Around;
  readonly labels: readonly AnomalyLabel[];
  /** Whether people may say something, here and now. */
  readonly mayLabel: boolean;
  /** What somebody has just said, and was not taken. */
  readonly typed?: TypedLabel | undefined;
  /** Score from which an anomaly opens (AIOPS_SCORE_THRESH). */
  readonly threshold: number;
}

/** All that is known about one anomaly, for a person at night. */
export function anomalyPage(shown: AnomalyPage): string {
  const { anomaly, around, labels, threshold } = shown;
  const { opening } = anomaly.evidence;
  return page(
    summaryOf(anomaly),
    html`<p><a href="/">All metrics</a></p>
      ${explainInWords(anomaly).map((sentence) => html`<p>${sentence}</p>`)}
      ${facts(anomaly, threshold)}
      <h2>Around the opening</h2>
      ${chart(anomaly, around)}
      <h2>Distance from the past</h2>
      ${zTable(anomaly.zscores)} ${streamTable(anomaly)}
      <h2 id="say">What people said</h2>
      ${labelList(labels)} ${sayingOf(shown)}
      <h2>Recompute</h2>
      <p>
        <a href="/anomalies/${encodeURIComponent(anomaly.id)}/verify"
          >Ask Prometheus again and compare</a
        >: point ${String(opening.n)} of the series, model
        <code>${anomaly.modelSha256 ?? "none, mean of the features"}</code>.
      </p>`,
    { wide: true },
  );
}

function sayingOf({ anomaly, mayLabel, typed }: AnomalyPage): Html {
  if (mayLabel) return labelForm(anomaly.id, typed);
  return html`<p>To say something, set AIOPS_DATABASE_URL and DETECTOR_API_TOKEN.</p>`;
}

function facts(anomaly: Anomaly, threshold: number): Html {
  const names = Object.entries(anomaly.labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(", ");
  return html`<dl>
    <dt>State</dt>
    <dd>${state(anomaly)}</dd>
    <dt>Severity</dt>
    <dd>${anomaly.severity}: score ${anomaly.score.toFixed(2)}, opens at ${String(threshold)}</dd>
    <dt>Reason</dt>
    <dd>${anomaly.reason} ${anomaly.direction}</dd>
    <dt>Opened</dt>
    <dd>${timeElement(anomaly.openedAt)}</dd>
    <dt>Last seen</dt>
    <dd>${timeElement(anomaly.lastSeenAt)}</dd>
    <dt>Series</dt>
    <dd><code>{${names}}</code></dd>
    <dt>PromQL</dt>
    <dd><code>${anomaly.expr}</code></dd>
    <dt>Newest values</dt>
    <dd>${anomaly.sparkline}</dd>
  </dl>`;
}

function state({ closedAt, closeCause }: Anomaly): Html {
  if (closedAt === undefined) return html`open`;
  return html`closed at ${timeElement(closedAt)}: ${closeCause?.replaceAll("_", " ") ?? ""}`;
}

function chart(anomaly: Anomaly, around: Around): Html {
  if (around.kind === "unknown") return html`<p>No chart: ${around.why}</p>`;
  const { bands } = anomaly.evidence.opening;
  const drawn = chartOf({
    title: `${anomaly.metric} around the opening`,
    points: around.points,
    band: bands.value,
    limit: limitOf(anomaly),
    openedAt: anomaly.openedAt,
    closedAt: anomaly.closedAt,
  });
  return html`${drawn}
    <p>
      The line is the value, the grey area is where it was expected (${bandInWords(bands.value)}).
    </p>
    <details>
      <summary>The values as a table</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Values">
        <table>
          <caption>
            ${String(around.points.length)} values
          </caption>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col" class="number">Value</th>
            </tr>
          </thead>
          <tbody>
            ${around.points.map(valueRow)}
          </tbody>
        </table>
      </div>
    </details>`;
}

function valueRow({ t, value }: Point): Html {
  return html`<tr>
    <td>${timeElement(t)}</td>
    <td class="number">${short(value)}</td>
  </tr>`;
}

/** The side of the watched band that lies between the values and their past; only of the value's own stream. */
function limitOf({ evidence, direction }: Anomaly): number | undefined {
  if (evidence.watch.stream !== "value" || evidence.naming.reason === "absent") return undefined;
  const limit = direction === "up" ? evidence.watch.band.high : evidence.watch.band.low;
  return Math.abs(limit) === Number.MAX_VALUE ? undefined : limit;
}

function zTable(zscores: readonly ZScore[]): Html {
  return html`<table>
    <caption>
      Robust z-scores of the opening value
    </caption>
    <thead>
      <tr>
        <th scope="col">Window in points</th>
        <th scope="col" class="number">z</th>
        <th scope="col" class="number">Median</th>
        <th scope="col" class="number">Usual spread</th>
        <th scope="col" class="number">Values</th>
      </tr>
    </thead>
    <tbody>
      ${zscores.map(
        ({ window, z, median, scale, n }) =>
          html`<tr>
            <th scope="row">${String(window)}</th>
            <td class="number">${z.toFixed(2)}</td>
            <td class="number">${short(median)}</td>
            <td class="number">${short(scale)}</td>
            <td class="number">${String(n)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function streamTable({ evidence: { opening } }: Anomaly): Html {
  // In our order, not in jsonb's; a row of an older program has fewer.
  const streams = (Object.keys(STREAM_WORDS) as StreamName[]).filter(
    (stream) => stream in opening.weights,
  );
  return html`<table>
    <caption>
      What the forest saw
    </caption>
    <thead>
      <tr>
        <th scope="col">Stream</th>
        <th scope="col" class="number">Value</th>
        <th scope="col">Expected</th>
        <th scope="col" class="number">Weight</th>
      </tr>
    </thead>
    <tbody>
      ${streams.map((stream) => {
        const value = opening.streams[stream];
        return html`<tr>
          <th scope="row">${stream}: ${STREAM_WORDS[stream]}</th>
          <td class="number">${value === undefined ? "–" : short(value)}</td>
          <td>${bandInWords(opening.bands[stream])}</td>
          <td class="number">${opening.weights[stream].toFixed(2)}</td>
        </tr>`;
      })}
    </tbody>
  </table>`;
}
