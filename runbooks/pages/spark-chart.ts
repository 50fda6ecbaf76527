import { html, type Html } from "../../lib/pages/html.ts";
import { table } from "./parts.ts";

const LEVELS = "▁▂▃▄▅▆▇█";
const WIDTH = 720;
const HEIGHT = 160;
const MARGIN = 12;
/** A detector sends 40. */
const POINTS_MAX = 120;

/** A text such as `▁▁▂█` as a line, with the same values as a table; undefined when it is no such text. */
export function sparkChart(title: string, text: string): Html | undefined {
  const levels = levelsIn(text);
  if (levels.length < 2) return undefined;
  const x = (at: number) => ((at / (levels.length - 1)) * WIDTH).toFixed(1);
  const y = (level: number) =>
    (HEIGHT - MARGIN - ((level - 1) / (LEVELS.length - 1)) * (HEIGHT - 2 * MARGIN)).toFixed(1);
  const path = levels.map((level, at) => `${at === 0 ? "M" : "L"}${x(at)} ${y(level)}`).join("");
  const [first = 0, last = 0] = [levels[0], levels.at(-1)];
  const description = `${levels.length} values from the oldest to the newest, in eighths of their range: the first ${first}, the last ${last}, the highest ${Math.max(...levels)}.`;
  return html`<svg
      class="chart"
      viewBox="0 0 ${String(WIDTH)} ${String(HEIGHT)}"
      role="img"
      aria-labelledby="chart-title chart-description"
    >
      <title id="chart-title">${title}</title>
      <desc id="chart-description">${description}</desc>
      <path class="line" d="${path}" />
    </svg>
    <details>
      <summary>The values as a table</summary>
      ${table({
        caption: "Values, oldest first",
        columns: ["Point", { name: "Eighths of the range", number: true }],
        rows: levels.map((level, at) => [String(at + 1), String(level)]),
        empty: "",
      })}
    </details>`;
}

/** 1 to 8. */
function levelsIn(text: string): readonly number[] {
  const levels = Array.from(text, (character) => LEVELS.indexOf(character) + 1);
  return levels.length <= POINTS_MAX && levels.every((level) => level > 0) ? levels : [];
}
