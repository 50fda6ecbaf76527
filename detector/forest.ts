/**
 * A trained isolation forest as flat arrays, all trees one after the other in preorder: the left
 * child of node i is node i + 1, the right child is `rights[i]`. A leaf has column -1 and its
 * whole path length (depth and the correction for the rows left in it) as value.
 */
export interface Forest {
  readonly columns: Int8Array;
  readonly values: Float64Array;
  readonly rights: Int32Array;
  readonly roots: Int32Array;
  /** Rows per tree; sets the normalising path length. */
  readonly sampleSize: number;
  /** Columns per row. */
  readonly width: number;
}

/** A forest with the two raw scores that make its scale comparable with any other forest's. */
export interface ScaledForest extends Forest {
  readonly rawAtZeros: number;
  readonly rawAtOnes: number;
}

/**
 * The mean path length in a tree of n rows AS ml-isolation-forest 0.1.0 computes it: the constant is
 * added outside of the factor 2 and has five digits (defect 3: 9.6675 instead of 10.2448 for 256). We
 * follow it, so that our scores are the library's, bit for bit.
 */
export function averagePathLength(rows: number): number {
  if (rows <= 1) return 0;
  if (rows === 2) return 1;
  return 2 * Math.log(rows - 1) + 0.57721 - (2 * (rows - 1)) / rows;
}

/** The isolation forest's own score of a row, bit-equal to the library's `predict` for the same trees. */
export function rawScore(forest: Forest, row: readonly number[]): number {
  const { columns, values, rights, roots } = forest;
  let total = 0;
  for (const root of roots) {
    let node = root;
    let column = columns[node] as number;
    while (column >= 0) {
      node =
        (row[column] as number) < (values[node] as number) ? node + 1 : (rights[node] as number);
      column = columns[node] as number;
    }
    total += values[node] as number;
  }
  return 2 ** (-(total / roots.length) / averagePathLength(forest.sampleSize));
}

/** Adds the two ends of the published scale. Throws when the forest cannot tell them apart. */
export function withScale(forest: Forest): ScaledForest {
  const rawAtZeros = rawScore(forest, new Array<number>(forest.width).fill(0));
  const rawAtOnes = rawScore(forest, new Array<number>(forest.width).fill(1));
  if (!(rawAtOnes > rawAtZeros)) {
    throw new Error(
      `forest does not rank the all-ones row (${rawAtOnes}) above the zero row (${rawAtZeros})`,
    );
  }
  return { ...forest, rawAtZeros, rawAtOnes };
}

/** The published score: 0 where nothing is new, 1 where everything is, whatever forest was trained. */
export function forestScore(forest: ScaledForest, row: readonly number[]): number {
  const scaled =
    (rawScore(forest, row) - forest.rawAtZeros) / (forest.rawAtOnes - forest.rawAtZeros);
  return Math.min(1, Math.max(0, scaled));
}
