import { html } from "../../lib/pages/html.ts";
import type { RangeSeries } from "../types/collect.ts";

interface ChartRequest {
  readonly title: string;
  readonly series: readonly RangeSeries[];
  readonly from: Date;
  readonly to: Date;
  /** Drawn as an upright line. */
  readonly alertAt: Date;
}

const WIDTH = 800;
const HEIGHT = 260;
const LEFT = 70;
const TOP = 24;
const LEGEND_ROW = 16;
/** Told apart by people who see no red or green, and by their dashes (Okabe and Ito). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const DASHES = ["none", "6 3", "2 3"];

/** Lines over time as an SVG file that needs nothing else. */
export function lineChart({ title, series, from, to, alertAt }: ChartRequest): string {
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  const finite = values.filter(Number.isFinite);
  const low = finite.reduce((least, value) => Math.min(least, value), finite[0] ?? 0);
  const high = finite.reduce((most, value) => Math.max(most, value), finite[0] ?? 1);
  const spread = high - low || Math.abs(high) || 1;
  const x = (seconds: number) =>
    LEFT +
    ((seconds * 1000 - from.getTime()) / (to.getTime() - from.getTime() || 1)) * (WIDTH - LEFT);
  const y = (value: number) => TOP + (HEIGHT - TOP) * (1 - (value - low) / spread);
  const height = HEIGHT + 24 + series.length * LEGEND_ROW;
  const alertX = x(alertAt.getTime() / 1000).toFixed(1);
  const inside = alertAt >= from && alertAt <= to;
  return `${
    html`<svg
      xmlns="http://www.w3.org/2000/svg"
      viewBox="0 0 ${String(WIDTH)} ${String(height)}"
      role="img"
      font-family="sans-serif"
      font-size="12"
    >
      <title>${title}</title>
      <rect width="100%" height="100%" fill="#ffffff" />
      <text x="4" y="14" font-weight="bold">${title}</text>
      <text x="4" y="${String(TOP + 10)}">${shown(low + spread)}</text>
      <text x="4" y="${String(HEIGHT)}">${shown(low)}</text>
      <text x="${String(LEFT)}" y="${String(HEIGHT + 14)}">${from.toISOString()}</text>
      <text x="${String(WIDTH)}" y="${String(HEIGHT + 14)}" text-anchor="end">
        ${to.toISOString()}
      </text>
      ${inside ? html`<line x1="${alertX}" x2="${alertX}" y1="${String(TOP)}" y2="${String(HEIGHT)}" stroke="#a00000" stroke-dasharray="3 3" />` : html``}
      ${series.map(
        ({ points }, nth) =>
          html`<path
            d="${path(points, x, y)}"
            fill="none"
            stroke="${colourOf(nth)}"
            stroke-dasharray="${dashOf(nth)}"
          /> `,
      )}${series.map(
        ({ labels }, nth) =>
          html`<text x="${String(LEFT + 24)}" y="${String(HEIGHT + 32 + nth * LEGEND_ROW)}"
              >${legend(labels)}</text
            ><line
              x1="${String(LEFT)}"
              x2="${String(LEFT + 18)}"
              y1="${String(HEIGHT + 28 + nth * LEGEND_ROW)}"
              y2="${String(HEIGHT + 28 + nth * LEGEND_ROW)}"
              stroke="${colourOf(nth)}"
              stroke-dasharray="${dashOf(nth)}"
            /> `,
      )}
    </svg>`.text
  }\n`;
}

/** A gap where there is no number. */
function path(
  points: RangeSeries["points"],
  x: (seconds: number) => number,
  y: (value: number) => number,
): string {
  let isOpen = false;
  return points
    .map(([seconds, value]) => {
      const command = isOpen ? "L" : "M";
      isOpen = Number.isFinite(value);
      return isOpen ? `${command}${x(seconds).toFixed(1)} ${y(value).toFixed(1)}` : "";
    })
    .join("");
}

function colourOf(nth: number): string {
  return COLOURS[nth % COLOURS.length] ?? "#000000";
}

function dashOf(nth: number): string {
  return DASHES[Math.floor(nth / COLOURS.length) % DASHES.length] ?? "none";
}

function shown(value: number): string {
  return Number(value.toPrecision(4)).toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

const LEGEND_MAX = 110;

function legend(labels: RangeSeries["labels"]): string {
  const text = Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
  const whole = text === "" ? "value" : text;
  return whole.length <= LEGEND_MAX ? whole : `${whole.slice(0, LEGEND_MAX - 1)}…`;
}
