import { FEATURE_COUNT } from "./features.ts";
import { forestScore, type ScaledForest } from "./forest.ts";
import { rankRowsOf, type RankReading } from "./ranks.ts";
import { rowsOf, type Reading } from "./strand.ts";

/** Rows whose largest feature is smaller are not shown to the forest (98.5 % of points): their score is 0. */
const FOREST_FROM_FEATURE = 0.04;
/** Ranks wander a little all the time; what they say below this changes nothing (NAB: 78.8 and 79.0). */
const RANKS_FROM_FEATURE = 0.25;
/**
 * Without a forest the mean of the features takes its place (72.8 against 74.5 on NAB). Divided by this
 * it raises as many paging alerts on NAB's shared half at the same published threshold.
 */
const FALLBACK_MEAN_AT_ONE = 0.29;
/** A slow change counts a little less than a sudden one (decision 0011: 0.8 to 1 differ by noise), a rank less than a value. */
const LASTING_GAIN = 0.9;
const RANK_GAIN = 0.88;
/** All that was read of one point. */
export interface Readings {
  readonly own: Reading;
  /** Undefined unless the season counts. */
  readonly residual: Reading | undefined;
  readonly ranks: RankReading | undefined;
}

/** One row that the forest is asked about. */
export interface Verdict {
  readonly row: readonly number[];
  readonly ranked: boolean;
  readonly novelty: "fresh" | "lasting";
  readonly score: number;
}

/** The rows that a point gives: of its values, of what remains after a season that counts, and of its ranks. */
function rowsOfPoint({ own, residual, ranks }: Readings): Omit<Verdict, "score">[] {
  const rows = [{ ...rowsOf(own), ranked: false }];
  // A residual has no ratio; the value's stands in, so that a row always says seven things.
  if (residual !== undefined) rows.push({ ...rowsOf(withRatio(residual, own)), ranked: false });
  if (ranks !== undefined) rows.push({ ...rankRowsOf(ranks), ranked: true });
  return rows.flatMap(({ fresh, lasting, ranked }) => [
    { row: fresh, novelty: "fresh" as const, ranked },
    { row: lasting, novelty: "lasting" as const, ranked },
  ]);
}

function withRatio(reading: Reading, { fresh, lasting }: Reading): Reading {
  return {
    ...reading,
    fresh: { ...reading.fresh, ratio: fresh.ratio },
    lasting: { ...reading.lasting, ratio: lasting.ratio },
  };
}

/** The row that says most. The first of equals, so that nothing depends on rounding. */
export function bestVerdict(readings: Readings, forest: ScaledForest | undefined): Verdict {
  return rowsOfPoint(readings)
    .map((row) => ({
      ...row,
      score: scoreRow(row, forest) * gainOf(row),
    }))
    .reduce((best, next) => (next.score > best.score ? next : best));
}

function gainOf({ novelty, ranked }: Omit<Verdict, "score">): number {
  return (novelty === "lasting" ? LASTING_GAIN : 1) * (ranked ? RANK_GAIN : 1);
}

function scoreRow(
  { row, ranked }: Omit<Verdict, "score">,
  forest: ScaledForest | undefined,
): number {
  if (Math.max(...row) < (ranked ? RANKS_FROM_FEATURE : FOREST_FROM_FEATURE)) return 0;
  if (forest !== undefined) return forestScore(forest, row);
  const mean = row.reduce((sum, feature) => sum + feature, 0) / FEATURE_COUNT;
  return Math.min(1, mean / FALLBACK_MEAN_AT_ONE);
}
