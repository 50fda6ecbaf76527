import { QueryError } from "../faults.ts";
import type { SeriesSamples, StepRange } from "../types/source.ts";

/** Prometheus refuses more than 11,000 points per series in one range query; 10,000 keeps clear of it. */
const PAGE_POINTS = 10_000;
/** Expressions whose pages must be small are remembered, so that their next question does not begin too large. */
const REMEMBERED_MAX = 1_000;

export interface Page {
  readonly samples: readonly SeriesSamples[];
  /** Length of the text. */
  readonly length: number;
}

/** Asks one page. Rejects with a QueryError. */
export type AskPage = (expr: string, page: StepRange) => Promise<Page>;

/**
 * Asks for any number of steps, page by page. A page whose answer is too large is asked in halves: four weeks of a
 * thousand series do not fit into one answer.
 *
 * @param lengthMax of all answers to one question together: they are held in memory
 */
export function inPages(
  lengthMax: number,
): (expr: string, range: StepRange, ask: AskPage) => Promise<readonly SeriesSamples[]> {
  const stepsAtOnce = new Map<string, number>();
  return async (expr, range, ask) => {
    const pages: Page[] = [];
    let length = 0;
    const waiting = [...pagesOf(range, stepsAtOnce.get(expr))];
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const page = await askOrHalve(expr, next, ask);
      if ("half" in page) {
        if (stepsAtOnce.size >= REMEMBERED_MAX) stepsAtOnce.clear();
        stepsAtOnce.set(expr, page.half);
        waiting.unshift(...pagesOf(next, page.half));
        continue;
      }
      length += page.length;
      if (length > lengthMax) {
        throw new QueryError(
          "too_large",
          `the answers are larger than ${lengthMax} bytes together`,
        );
      }
      pages.push(page);
    }
    return joinPages(pages.map(({ samples }) => samples));
  };
}

/** The answer, or how many steps to ask for instead. */
async function askOrHalve(
  expr: string,
  page: StepRange,
  ask: AskPage,
): Promise<Page | { readonly half: number }> {
  try {
    return await ask(expr, page);
  } catch (error) {
    const steps = Math.floor((page.to - page.from) / page.step) + 1;
    if (error instanceof QueryError && error.kind === "too_large" && steps > 1) {
      return { half: Math.ceil(steps / 2) };
    }
    throw error;
  }
}

/** The same steps as several ranges, none of which Prometheus refuses for its length. */
export function pagesOf(
  { from, to, step }: StepRange,
  pointsMax = PAGE_POINTS,
): readonly StepRange[] {
  const pages: StepRange[] = [];
  for (let start = from; start <= to; start += pointsMax * step) {
    pages.push({ from: start, to: Math.min(to, start + (pointsMax - 1) * step), step });
  }
  return pages;
}

/** One list of points per label set; pages come in the order of time. */
function joinPages(pages: readonly (readonly SeriesSamples[])[]): readonly SeriesSamples[] {
  const [only] = pages;
  if (pages.length === 1 && only !== undefined) return only;
  const joined = new Map<string, SeriesSamples>();
  for (const series of pages.flat()) {
    const key = JSON.stringify(Object.entries(series.labels).sort());
    const earlier = joined.get(key);
    joined.set(
      key,
      earlier === undefined
        ? series
        : { labels: series.labels, points: [...earlier.points, ...later(series, earlier)] },
    );
  }
  return [...joined.values()];
}

/** Servers that merge several sources may give a series twice; the first one counts. */
function later(series: SeriesSamples, { points }: SeriesSamples): SeriesSamples["points"] {
  const last = points.at(-1)?.t ?? -Infinity;
  return series.points.filter(({ t }) => t > last);
}
