import { IsolationForest, type TreeNode } from "ml-isolation-forest";
import { compileTrees } from "./compile.ts";
import { withScale, type ScaledForest } from "./forest.ts";
import { mulberry32, type Random } from "./random.ts";

/** Rows per tree: half from the pool, half uniform background, without which all far rows score alike. */
const POOL_ROWS_PER_TREE = 128;
const BACKGROUND_ROWS_PER_TREE = 128;
const SYNTHETIC_ROWS = 4000;
/** Mean of a synthetic feature: the exponential that did as well as 24,000 real rows (74.7 vs 74.5). */
const SYNTHETIC_MEAN = 0.004;

export interface TrainOptions {
  readonly seed: number;
  readonly trees: number;
}

/** Rows for the default model: every feature min(1, Exp(mean 0.004)). Same seed, same rows. */
export function syntheticPool(width: number, seed: number): number[][] {
  const random = mulberry32(seed);
  return Array.from({ length: SYNTHETIC_ROWS }, () =>
    Array.from({ length: width }, () => Math.min(1, -SYNTHETIC_MEAN * Math.log(1 - random()))),
  );
}

/**
 * Trains a forest with ml-isolation-forest around its defects: one new instance per tree (a second
 * `train` has no effect, and the package does not subsample), finite rows only (a NaN deletes rows
 * silently), and a seeded generator in place of Math.random while the synchronous `train` runs.
 * Throws when the pool is empty, ragged, or holds a number that is not finite.
 */
export function trainForest(
  pool: readonly (readonly number[])[],
  options: TrainOptions,
): ScaledForest {
  const width = pool[0]?.length ?? 0;
  if (width === 0) throw new Error("cannot train a forest on an empty pool");
  pool.forEach((row, index) => {
    if (row.length !== width || !row.every(Number.isFinite)) {
      throw new Error(`pool row ${index} is not ${width} finite numbers`);
    }
  });
  const random = mulberry32(options.seed);
  const trees = Array.from({ length: options.trees }, () => trainTree(pool, width, random));
  return withScale(compileTrees(trees, POOL_ROWS_PER_TREE + BACKGROUND_ROWS_PER_TREE, width));
}

function trainTree(pool: readonly (readonly number[])[], width: number, random: Random): TreeNode {
  const rows: (readonly number[])[] = [];
  for (let count = 0; count < POOL_ROWS_PER_TREE; count += 1) {
    rows.push(pool[Math.floor(random() * pool.length)] as readonly number[]);
  }
  for (let count = 0; count < BACKGROUND_ROWS_PER_TREE; count += 1) {
    rows.push(Array.from({ length: width }, random));
  }
  const model = new IsolationForest({ nEstimators: 1 });
  withMathRandom(random, () => {
    model.train(rows);
  });
  return model.forest[0] as TreeNode;
}

/** The package asks Math.random only. Nothing else can run in between: the work is synchronous. */
function withMathRandom(random: Random, work: () => void): void {
  const original = Math.random;
  Math.random = random;
  try {
    work();
  } finally {
    Math.random = original;
  }
}
