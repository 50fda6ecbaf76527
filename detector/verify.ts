import { setImmediate } from "node:timers/promises";
import { messageOf } from "../lib/error.ts";
import { stateOf } from "./memories.ts";
import type { Model } from "./model.ts";
import { createSeriesState, newestValues, scorePoint, type SeriesState } from "./score.ts";
import { seriesId } from "./series.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Point, PointScore } from "./types/scoring.ts";
import type { MetricSource, StepRange } from "./types/source.ts";

/** The longest history that is asked for; four weeks of minutes. */
const HISTORY_POINTS_MAX = 40_320;
/** Steps asked for at once: with thousands of series an answer stays below the client's limit. */
const CHUNK_STEPS = 1_000;
/** The event loop is let go on after so many points (about 5 ms). */
const POINTS_PER_TURN = 1_000;
/** Of the newest values, which the scorer remembers as they were; more than it has, so that gaps take none away. */
const SEEN_AGAIN_STEPS = 500;
const FORGOTTEN = "Prometheus no longer has the series' points of that time.";
const TOO_LONG =
  "The series had lived for more than four weeks of points, and what the scorer knew of it was not kept.";
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
      /** Whether all points of the series were seen again, or the opening and what the scorer knew before it. */
      readonly basis: "history" | "memory";
      readonly asked: { readonly expr: string } & StepRange;
      readonly compared: number;
      /** The numbers that are not the same; empty when all are. */
      readonly differences: readonly Comparison[];
    };

export interface VerifyDeps {
  readonly source: MetricSource;
  /** The model with this hash; undefined when it is not known any more. */
  readonly findModel: (sha256: string) => Promise<Model | undefined>;
  /** What the scorer knew before an anomaly's opening; undefined when it was not kept. */
  readonly memoryOf: (id: string) => Promise<Uint8Array | undefined>;
  readonly signal?: AbortSignal;
}

/**
 * Asks Prometheus for the same data again and scores it by the same code with the same model: all points since the first,
 * or, of an old series or where Prometheus has forgotten the first ones, the opening one against what the scorer knew.
 */
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
  const isLong = t - historyFrom > HISTORY_POINTS_MAX * step;
  const range = { from: isLong ? t - SEEN_AGAIN_STEPS * step : historyFrom, to: t, step };
  let points: readonly Point[];
  try {
    points = await askAgain(anomaly, range, deps);
  } catch (error) {
    return cannot(`Prometheus cannot be asked: ${messageOf(error)}.`);
  }
  const again = await scoreAgain(anomaly, { points, isLong }, model, deps);
  if (again !== undefined) return judge(again, { expr: anomaly.expr, ...range });
  return cannot(isLong && points.at(-1)?.t === t ? TOO_LONG : FORGOTTEN);
}

function judge(
  { basis, compared }: Again,
  asked: { readonly expr: string } & StepRange,
): Verification {
  const differences = compared.filter(({ recorded, recomputed }) => !same(recorded, recomputed));
  const verdict = differences.length === 0 ? "equal" : "differs";
  return { verdict, basis, asked, compared: compared.length, differences };
}

interface Again {
  readonly basis: "history" | "memory";
  readonly compared: readonly Comparison[];
}

/** Undefined where it cannot be done. */
async function scoreAgain(
  { id, evidence: { opening } }: Anomaly,
  { points, isLong }: { readonly points: readonly Point[]; readonly isLong: boolean },
  model: Model | undefined,
  { memoryOf }: VerifyDeps,
): Promise<Again | undefined> {
  if (points.at(-1)?.t !== opening.t) return undefined;
  if (!isLong && points.length >= opening.n) {
    const last = await replay(points.slice(-opening.n), model);
    return last && { basis: "history", compared: compare(opening, last) };
  }
  const memory = await memoryOf(id);
  const state = memory && stateOf(memory);
  const compared = state && compareLast(opening, points, state, model);
  return compared && { basis: "memory", compared };
}

function cannot(why: string): Verification {
  return { verdict: "cannot_verify", why };
}

/** The numbers of the series; gaps left out. */
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
    points.push(...(found?.points ?? []).filter(({ value }) => Number.isFinite(value)));
  }
  return points;
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

/** The newest values that the scorer remembered, against those of Prometheus; and the opening, scored after them. */
function compareLast(
  recorded: PointScore,
  numbers: readonly Point[],
  state: SeriesState,
  model: Model | undefined,
): readonly Comparison[] | undefined {
  const opening = numbers.at(-1);
  if (opening === undefined) return undefined;
  const before = numbers.slice(0, -1);
  const known = newestValues(state, before.length);
  const seen = before.slice(before.length - known.length);
  const again = scorePoint(state, opening, model?.forest);
  if (again === undefined) return undefined;
  return [
    ...known.map((number, index) => ({
      name: `before.${known.length - index}`,
      recorded: number,
      recomputed: seen[index]?.value ?? null,
    })),
    ...compare(recorded, again),
  ];
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
