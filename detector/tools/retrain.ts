import { openModel, storeModel } from "../model.ts";
import type { Model } from "../model.ts";
import { replaySeries } from "../replay.ts";
import { seriesId } from "../series.ts";
import { trainForest } from "../train.ts";
import type { EpisodeRules, StoredModel } from "../types.ts";
import { compareModels, type Comparison } from "./compare.ts";
import type { MetricHistory } from "./history.ts";

/** Every 7th point from the 300th on. */
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
  readonly isMasked: (metric: string, series: string, t: number) => boolean;
}

export interface Challenge {
  readonly challenger: StoredModel;
  readonly rows: number;
  readonly masked: number;
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
      `there are ${pool.length} rows to learn from, ${ROWS_NEEDED} are needed: give a longer time`,
    );
  }
  const { champion, seed, trees, now } = options;
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
      parent: champion?.sha256 ?? null,
      window: windowOf(history),
    },
  };
  const comparison = compareModels(
    history,
    { champion, challenger: openModel(challenger) },
    options,
  );
  return { challenger, rows: pool.length, masked, comparison };
}

function collectRows(
  history: readonly MetricHistory[],
  { champion, rules, step, isMasked }: RetrainOptions,
): { readonly pool: readonly (readonly number[])[]; readonly masked: number } {
  const pool: (readonly number[])[] = [];
  let masked = 0;
  for (const { query, series } of history) {
    for (const { labels, points } of series) {
      const id = seriesId(labels);
      replaySeries(points, {
        forest: champion?.forest,
        rules,
        step,
        onScore: ({ n, t, row }) => {
          if (n < ROW_FROM || n % ROW_EVERY !== 0 || pool.length >= ROWS_MAX) return;
          if (isMasked(query.name, id, t)) masked += 1;
          else pool.push(row);
        },
      });
    }
  }
  return { pool, masked };
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
