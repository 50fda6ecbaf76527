import { html, type Html } from "../../lib/pages/html.ts";
import { bandInWords, short } from "../words.ts";
import type { Band, Point } from "../types/scoring.ts";

const WIDTH = 720;
const HEIGHT = 240;
const MARGIN = 24;
const SPARK_WIDTH = 192;
const SPARK_HEIGHT = 32;
/** An hour and a half of minutes; ten of these lines stay below 15 kB. */
const SPARK_POINTS_MAX = 96;

export interface Chart {
  readonly title: string;
  readonly points: readonly Point[];
  /** Where values were expected; undefined when nothing was known. */
  readonly band: Band | undefined;
  /** The level that ends the episode once the value is back on its other side. */
  readonly limit: number | undefined;
  readonly openedAt: number;
  readonly closedAt: number | undefined;
}

/** A line of values with the expected band, as SVG that needs neither script nor style attribute. Its data is in a table beside it. */
export function chartOf(chart: Chart): Html {
  const { points, band, limit } = chart;
  const finite = points.filter(({ value }) => Number.isFinite(value));
  const levels = [...finite.map(({ value }) => value), ...(limit === undefined ? [] : [limit])];
  const shown = band === undefined ? levels : [...levels, band.low, band.high];
  const y = scale(Math.min(...shown), Math.max(...shown), HEIGHT - MARGIN, MARGIN);
  const x = scale(points[0]?.t ?? 0, points.at(-1)?.t ?? 1, 0, WIDTH);
  const words = `${finite.length} values from ${short(Math.min(...levels))} to ${short(Math.max(...levels))}; expected ${bandInWords(band)}. The table below has every value.`;
  return html`<svg
    class="chart"
    viewBox="0 0 ${String(WIDTH)} ${String(HEIGHT)}"
    role="img"
    aria-labelledby="chart-title chart-description"
  >
    <title id="chart-title">${chart.title}</title>
    <desc id="chart-description">${words}</desc>
    ${band === undefined ? html`` : bandBox(band, y)}
    ${limit === undefined ? html`` : html`<line class="limit" x1="0" x2="${String(WIDTH)}" y1="${y(limit)}" y2="${y(limit)}" /><text x="4" y="${String(Number(y(limit)) - 4)}">ends at ${short(limit)}</text>`}
    ${moment(chart.openedAt, "opened", x)}
    ${chart.closedAt === undefined ? html`` : moment(chart.closedAt, "closed", x)}
    <path class="line" d="${pathOf(points, x, y)}" />
  </svg>`;
}

/** The newest values as a small line. */
export function sparkChart(title: string, values: readonly number[]): Html {
  const points = values.slice(-SPARK_POINTS_MAX).map((value, t) => ({ t, value }));
  const finite = points.map(({ value }) => value).filter(Number.isFinite);
  const y = scale(Math.min(...finite), Math.max(...finite), SPARK_HEIGHT - 2, 2);
  const x = scale(0, Math.max(1, points.length - 1), 0, SPARK_WIDTH);
  return html`<svg
    class="spark"
    viewBox="0 0 ${String(SPARK_WIDTH)} ${String(SPARK_HEIGHT)}"
    role="img"
    aria-label="${title}"
  >
    <path class="line" d="${pathOf(points, x, y)}" />
  </svg>`;
}

type Scale = (value: number) => string;

/** Halved first, so that a range from -1e308 to 1e308 does not overflow; a flat line lies in the middle. */
function scale(low: number, high: number, atLow: number, atHigh: number): Scale {
  const range = high / 2 - low / 2;
  return (value) => {
    const share = range > 0 ? (value / 2 - low / 2) / range : 0.5;
    return (atLow + share * (atHigh - atLow)).toFixed(1);
  };
}

function bandBox({ low, high }: Band, y: Scale): Html {
  const top = Number(y(high));
  const height = Math.max(1, Number(y(low)) - top);
  return html`<rect
    class="band"
    x="0"
    y="${String(top)}"
    width="${String(WIDTH)}"
    height="${String(height)}"
  />`;
}

function moment(t: number, name: string, x: Scale): Html {
  return html`<line class="moment" x1="${x(t)}" x2="${x(t)}" y1="0" y2="${String(HEIGHT)}" /><text
      x="${x(t)}"
      y="12"
      dx="4"
      >${name}</text
    >`;
}

/** A hole in the data is a hole in the line. */
function pathOf(points: readonly Point[], x: Scale, y: Scale): string {
  let command = "M";
  const parts: string[] = [];
  for (const { t, value } of points) {
    if (Number.isFinite(value)) parts.push(`${command}${x(t)} ${y(value)}`);
    command = Number.isFinite(value) ? "L" : "M";
  }
  return parts.join("");
}
