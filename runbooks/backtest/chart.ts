import { html, type Html } from "../../lib/pages/html.ts";

export interface Bar {
  readonly name: string;
  readonly value: number;
}

const WIDTH = 720;
const ROW = 22;
const NAMES = 220;
/** For the number behind the longest bar. */
const MARGIN = 60;
const NAME_MAX = 34;

/** Horizontal bars with their names and numbers, as SVG that needs neither script nor style attribute. */
export function barChart(title: string, bars: readonly Bar[]): Html {
  if (bars.length === 0) return html`<p>${title}: none.</p>`;
  const most = Math.max(...bars.map(({ value }) => value), 1);
  const height = bars.length * ROW + 4;
  return html`<svg
    class="chart"
    viewBox="0 0 ${String(WIDTH)} ${String(height)}"
    role="img"
    aria-label="${title}"
  >
    ${bars.map(({ name, value }, index) => {
      const width = ((WIDTH - NAMES - MARGIN) * value) / most;
      const y = index * ROW;
      return html`<text x="0" y="${String(y + 15)}">${cut(name)}</text
        ><rect
          class="band"
          x="${String(NAMES)}"
          y="${String(y + 3)}"
          width="${width.toFixed(1)}"
          height="${String(ROW - 6)}"
        /><text x="${(NAMES + width + 6).toFixed(1)}" y="${String(y + 15)}"
          >${String(value)}</text
        >`;
    })}
  </svg>`;
}

function cut(name: string): string {
  return name.length <= NAME_MAX ? name : `${name.slice(0, NAME_MAX - 1)}…`;
}
