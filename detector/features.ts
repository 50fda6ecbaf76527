import type { BaseStream } from "./types/scoring.ts";

/** The width of a row: the value twice, and five derived streams once. */
export const FEATURE_COUNT = 7;
/** Novelty (in past ranges, times the weight) at which a feature saturates. */
export const SATURATION = 0.25;

/** The stream behind each column of a row. The value is entered twice: the forest then asks it twice as often. */
export const ROW_STREAMS: readonly BaseStream[] = [
  "value",
  "value",
  "level",
  "shift",
  "spread",
  "ratio",
  "trend",
];

const WEIGHTS: Readonly<Record<BaseStream, number>> = {
  value: 1,
  level: 0.5,
  shift: 0.5,
  spread: 0.5,
  ratio: 0.5,
  trend: 0.5,
};

/** What each stream says, 1 = saturated. */
export type BaseWeights = Readonly<Record<BaseStream, number>>;

/** Spread of the past values: `core` without the outermost 2 %, `range` with them. Both > 0. */
export interface PastRange {
  readonly core: number;
  readonly range: number;
}

/** The smallest range by which each stream's novelty is divided. */
export function rangeFloor(stream: BaseStream, { range }: PastRange): number {
  switch (stream) {
    case "value":
    case "level":
      return range;
    case "shift":
    case "spread":
      return 0.02 * range;
    case "trend":
      return (0.02 * range) / 48;
    case "ratio":
      return 0.05;
  }
}

/**
 * How much each stream says, 1 = saturated; not clipped, so that two saturated streams can still be
 * told apart in an explanation.
 */
export function weigh(novelty: Readonly<Record<BaseStream, number>>): BaseWeights {
  const weighed = (stream: BaseStream): number => (novelty[stream] * WEIGHTS[stream]) / SATURATION;
  return {
    value: weighed("value"),
    level: weighed("level"),
    shift: weighed("shift"),
    spread: weighed("spread"),
    ratio: weighed("ratio"),
    trend: weighed("trend"),
  };
}

/** The row that the forest sees. Linear and clipped: both measured better than a logarithm. */
export function featureRow(weights: BaseWeights): number[] {
  return ROW_STREAMS.map((stream) => Math.min(1, weights[stream]));
}
