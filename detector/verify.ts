import { setImmediate } from "node:timers/promises";
import { messageOf } from "../lib/error.ts";
import type { Model } from "./model.ts";
import { createSeriesState, scorePoint } from "./score.ts";
import { seriesId } from "./series.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Point, PointScore } from "./types/scoring.ts";
import type { MetricSource, StepRange } from "./types/source.ts";

/** The longest window of the scorer (score.ts). */
const LONGEST_WINDOW_POINTS = 10_080;
/** What is older has next to no part in any number; four weeks of minutes. */
const HISTORY_POINTS_MAX = 4 * LONGEST_WINDOW_POINTS;
/** Steps asked for at once: with thousands of series an answer stays below the client's limit. */
const CHUNK_STEPS = 1_000;
/** The event loop is let go on after so many points (about 5 ms). */
const POINTS_PER_TURN = 1_000;
/** Prometheus and jsonb both give doubles back as they were; this forgives only the order of a sum. */
const RELATIVE_TOLERANCE = 1e-9;

/** One number of the explanation: as it was stored, and as it comes out now. */
interface Comparison {
  readonly name: string;
  readonly recorded: number | null;
  readonly recomputed: number | null;
}

export type Verification =
  | { readonly verdict: "cannot_verify"; readonly why: string }
  | {
      readonly verdict: "equal" | "differs";
      readonly asked: { readonly expr: string } & StepRange;
      readonly compared: number;
      /** The numbers that are not the same; empty when all are. */
      readonly differences: readonly Comparison[];
    };

export interface VerifyDeps {
  readonly source: MetricSource;
  /** The model with this hash; undefined when it is not known any more. */
  readonly findModel: (sha256: string) => Promise<Model | undefined>;
  readonly signal?: AbortSignal;
}

/** Asks Prometheus for the same data again and scores it by the same code with the same model. */
export async function verifyAnomaly(anomaly: Anomaly, deps: VerifyDeps): Promise<Verification> {
  const { step, historyFrom, modelSha256, evidence } = anomaly;
  if (step === undefined || historyFrom === undefined) {
    return cannot("It was recorded by an older program, which did not keep the range.");
  }
  const model = modelSha256 === undefined ? undefined : await deps.findModel(modelSha256);
  if (modelSha256 !== undefined && model === undefined) {
    return cannot(`The model ${modelSha256} is not known any more, or cannot be read.`);
  }
  const { t } = evidence.opening;
  const from = Math.max(historyFrom, t - HISTORY_POINTS_MAX * step);
  const range = { from, to: t, step };
  let answered: readonly Point[];
  try {
    answered = await askAgain(anomaly, range, deps);
  } catch (error) {
    return cannot(`Prometheus cannot be asked: ${messageOf(error)}.`);
  }
  const points = sameHistory(answered, anomaly, from);
  if (points === undefined) {
    return cannot("Prometheus no longer has the series' points of that time.");
  }
  const again = await replay(points, model);
  if (again === undefined) return cannot("Prometheus no longer has a number at the opening.");
  // A shortened history counts fewer points, and that alone is no difference.
  const compared = compare(evidence.opening, again).filter(
    ({ name }) => name !== "n" || from === historyFrom,
  );
  const differences = compared.filter(({ recorded, recomputed }) => !same(recorded, recomputed));
  return {
    verdict: differences.length === 0 ? "equal" : "differs",
    asked: { expr: anomaly.expr, ...range },
    compared: compared.length,
    differences,
  };
}

function cannot(why: string): Verification {
  return { verdict: "cannot_verify", why };
}

async function askAgain(
  { expr, series }: Anomaly,
  { from, to, step }: StepRange,
  { source, signal }: VerifyDeps,
): Promise<readonly Point[]> {
  const points: Point[] = [];
  for (let start = from; start <= to; start += CHUNK_STEPS * step) {
    const chunk = { from: start, to: Math.min(to, start + (CHUNK_STEPS - 1) * step), step };
    const answer = await source.query(expr, chunk, signal);
    const found = answer.find(({ labels }) => seriesId(labels) === series);
    points.push(...(found?.points ?? []));
  }
  return points;
}

/** The points that the scorer had seen: as many numbers as it counted, the last one at the opening. */
function sameHistory(
  answered: readonly Point[],
  { historyFrom, evidence }: Anomaly,
  from: number,
): readonly Point[] | undefined {
  const { t, n } = evidence.opening;
  const numbers = answered.filter(({ value }) => Number.isFinite(value));
  if (numbers.at(-1)?.t !== t) return undefined;
  const wanted = from === historyFrom ? n : Math.min(n, LONGEST_WINDOW_POINTS);
  if (numbers.length < wanted) return undefined;
  return numbers.slice(Math.max(0, numbers.length - n));
}

async function replay(
  points: readonly Point[],
  model: Model | undefined,
): Promise<PointScore | undefined> {
  const state = createSeriesState();
  let last: PointScore | undefined;
  for (const [index, point] of points.entries()) {
    last = scorePoint(state, point, model?.forest);
    if (index % POINTS_PER_TURN === 0) await setImmediate();
  }
  return last;
}

function compare(recorded: PointScore, recomputed: PointScore): readonly Comparison[] {
  const numbers = numbersOf(recomputed);
  return [...numbersOf(recorded)].map(([name, number]) => ({
    name,
    recorded: number,
    recomputed: numbers.get(name) ?? null,
  }));
}

/** Every number of a point's score, by its path: `zscores.288.z`, `weights.trend`. */
function numbersOf(score: PointScore): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const visit = (path: string, member: unknown): void => {
    if (typeof member === "number") found.set(path, member);
    if (typeof member !== "object" || member === null) return;
    for (const [key, inner] of Object.entries(member)) {
      const name = isWindow(inner) ? String(inner.window) : key;
      visit(path === "" ? name : `${path}.${name}`, inner);
    }
  };
  visit("", score);
  return found;
}

function isWindow(member: unknown): member is { readonly window: number } {
  return typeof member === "object" && member !== null && "window" in member;
}

function same(recorded: number | null, recomputed: number | null): boolean {
  if (recorded === null || recomputed === null) return recorded === recomputed;
  const difference = Math.abs(recorded - recomputed);
  const size = Math.max(Math.abs(recorded), Math.abs(recomputed));
  return difference <= RELATIVE_TOLERANCE * size || difference <= 1e-12;
}
