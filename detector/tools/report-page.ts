import { html, type Html } from "../../lib/pages/html.ts";
import { chartOf } from "../pages/chart.ts";
import type { ReplayedEpisode } from "../replay.ts";
import { seriesId } from "../series.ts";
import type { Point } from "../types/scoring.ts";
import type { MetricHistory } from "./history.ts";

/** Charts at most: a page of 50 has about 1 MB. */
const CHARTS_MAX = 50;
const POINTS_AROUND = 90;

export interface ReportedAlert {
  readonly metric: string;
  readonly series: string;
  readonly episode: ReplayedEpisode;
  /** What else there is to say about it. */
  readonly note?: string | undefined;
}

/** Alerts below a heading, the first with a chart each. */
export function alertList(
  heading: string,
  alerts: readonly ReportedAlert[],
  history: readonly MetricHistory[],
): Html {
  const hidden = alerts.length - CHARTS_MAX;
  return html`<h2>${heading}</h2>
    ${alerts.length === 0 ? html`<p>None.</p>` : alerts.slice(0, CHARTS_MAX).map((alert) => section(alert, history))}
    ${hidden > 0 ? html`<p>${String(hidden)} more are not shown.</p>` : html``}`;
}

function section(
  { metric, series, episode, note }: ReportedAlert,
  history: readonly MetricHistory[],
): Html {
  const { naming, opening } = episode.episode;
  const reason = `${naming.reason} ${naming.direction}`;
  const closed =
    episode.closedAt === undefined
      ? "still open"
      : `until ${iso(episode.closedAt)} (${episode.cause ?? ""})`;
  return html`<section>
    <h3>${metric} ${series}: ${reason}</h3>
    ${note === undefined ? html`` : html`<p>${note}</p>`}
    <p>From <time datetime="${iso(episode.openedAt)}">${iso(episode.openedAt)}</time> ${closed}</p>
    ${chartOf({
      title: `${metric} ${series}`,
      points: pointsAround(metric, series, episode.openedAt, history),
      band: opening.bands.value, // the watched one may be open to one side
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

/** RFC 3339. */
export function iso(t: number): string {
  return new Date(t).toISOString();
}
