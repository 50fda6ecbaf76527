import { openModel, storeModel } from "../model.ts";
import type { Model } from "../model.ts";
import { replaySeries } from "../replay.ts";
import { seriesId } from "../series.ts";
import { trainForest } from "../train.ts";
import type { EpisodeRules } from "../types/episode.ts";
import type { StoredModel } from "../types/store.ts";
import type { Mask } from "../types/training.ts";
import { compareModels, type Comparison } from "./compare.ts";
import type { MetricHistory } from "./history.ts";
import { isMasked, leftOut, masksOf, type LeftOut } from "./masks.ts";

/** Every 7th point from the 300th on; fewer of a long past, so that each series has its share of the rows. */
const ROW_EVERY = 7;
const ROW_FROM = 300;
const ROWS_NEEDED = 512;
const ROWS_MAX = 200_000;

export interface RetrainOptions {
  readonly champion: Model | undefined;
  readonly rules: EpisodeRules;
  readonly step: number;
  readonly seed: number;
  readonly trees: number;
  readonly now: Date;
  /** Times that must not be learned as normal. */
  readonly masks: readonly Mask[];
}

export interface Challenge {
  readonly challenger: StoredModel;
  readonly rows: number;
  /** Rows that were left out. */
  readonly masked: number;
  readonly masks: LeftOut;
  readonly comparison: Comparison;
}

/**
 * Trains a challenger on the rows of one's own past, and lets both models live through it: the challenger is only better
 * if the replay says so.
 *
 * @throws Error when there are too few rows to learn from
 */
export function retrain(history: readonly MetricHistory[], options: RetrainOptions): Challenge {
  const { pool, masked } = collectRows(history, options);
  if (pool.length < ROWS_NEEDED) {
    throw new Error(
      `there are ${pool.length} rows to learn from, ${ROWS_NEEDED} are needed` +
        ` (${masked} were masked): give a longer time`,
    );
  }
  const { champion, seed, trees, now } = options;
  const masks = leftOut(history, options.masks);
  const stored = storeModel(trainForest(pool, { seed, trees }), {
    seed,
    trainedAt: now,
    pool: "own",
  });
  const challenger: StoredModel = {
    ...stored,
    parameters: {
      ...stored.parameters,
      rows: pool.length,
      masked,
      masks,
      parent: champion?.sha256 ?? null,
      window: windowOf(history),
    },
  };
  const comparison = compareModels(
    history,
    { champion, challenger: openModel(challenger) },
    options,
  );
  const isSame = challenger.sha256 === champion?.sha256;
  return {
    ...{ challenger, rows: pool.length, masked, masks },
    comparison: isSame ? { ...comparison, promote: false, why: "it is the champion" } : comparison,
  };
}

function collectRows(
  history: readonly MetricHistory[],
  { champion, rules, step, masks }: RetrainOptions,
): { readonly pool: readonly (readonly number[])[]; readonly masked: number } {
  const pool: (readonly number[])[] = [];
  const every = Math.max(ROW_EVERY, Math.ceil(pointsOf(history) / ROWS_MAX));
  let masked = 0;
  for (const { query, series } of history) {
    for (const { labels, points } of series) {
      const own = masksOf({ metric: query.name, series: seriesId(labels), labels }, masks);
      replaySeries(points, {
        forest: champion?.forest,
        rules,
        step,
        onScore: ({ n, t, row, ranked }) => {
          // Rows of ranks are only asked where they already say something: as a sample of normal they would be biased.
          if (n < ROW_FROM || n % every !== 0 || ranked) return;
          if (isMasked(own, t)) masked += 1;
          else pool.push(row);
        },
      });
    }
  }
  return { pool, masked };
}

function pointsOf(history: readonly MetricHistory[]): number {
  return history
    .flatMap(({ series }) => series.map(({ points }) => points.length))
    .reduce((sum, count) => sum + count, 0);
}

function windowOf(
  history: readonly MetricHistory[],
): { readonly from: string; readonly to: string } | null {
  const times = history.flatMap(({ series }) =>
    series.flatMap(({ points }) => [points.at(0)?.t, points.at(-1)?.t]),
  );
  const known = times.filter((t) => t !== undefined).toSorted((a, b) => a - b);
  const [from, to] = [known.at(0), known.at(-1)];
  if (from === undefined || to === undefined) return null;
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}
