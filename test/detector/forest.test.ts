import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { IsolationForest, type TreeNode } from "ml-isolation-forest";
import { compileTrees } from "../../detector/compile.ts";
import { forestScore, rawScore } from "../../detector/forest.ts";
import { mulberry32 } from "../../detector/random.ts";
import { syntheticPool, trainForest } from "../../detector/train.ts";
import { defaultForest } from "./given.ts";

const random = mulberry32(5);
const ROWS = Array.from({ length: 256 }, () => Array.from({ length: 7 }, () => random() ** 3));

/** The library's own forest over the trees of several one-tree models, each trained on 256 rows. */
function libraryForest(trees: number): IsolationForest {
  const models = Array.from({ length: trees }, () => {
    const model = new IsolationForest({ nEstimators: 1 });
    model.train(ROWS);
    return model;
  });
  const whole = new IsolationForest({ nEstimators: trees });
  whole.trainingSet = ROWS;
  whole.forest = models.map((model) => model.forest[0] as TreeNode);
  return whole;
}

test("compiled trees score bit-equal to the library's predict", () => {
  const library = libraryForest(60);
  const compiled = compileTrees(library.forest, 256, 7);
  const queries = [
    ...ROWS,
    ...Array.from({ length: 500 }, () => Array.from({ length: 7 }, random)),
  ];
  queries.push([0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1], [9, -9, 0.5, NaN, 0, 1, 2]);

  expect(queries.map((row) => rawScore(compiled, row))).toEqual(library.predict(queries));
});

test("the same seed gives the same forest, another seed another one", () => {
  const pool = syntheticPool(7, 3);
  const first = trainForest(pool, { seed: 3, trees: 5 });

  expect(trainForest(pool, { seed: 3, trees: 5 })).toEqual(first);
  expect(trainForest(pool, { seed: 4, trees: 5 }).values).not.toEqual(first.values);
});

test("Math.random is the program's own again after training, also after a failed one", () => {
  const original = Math.random;

  trainForest(syntheticPool(7, 1), { seed: 1, trees: 1 });
  expect(Math.random).toBe(original);

  const poisoned = [
    Object.defineProperty([1, 2], 0, { get: () => (Math.random === original ? 1 : fail()) }),
  ];
  expect(() => trainForest(poisoned, { seed: 1, trees: 1 })).toThrow("in training");
  expect(Math.random).toBe(original);
});

function fail(): never {
  throw new Error("in training");
}

test.each([
  ["an empty pool", [], "empty pool"],
  ["a NaN", [[0.1, NaN]], "row 0 is not 2 finite numbers"],
  [
    "an infinity",
    [
      [0.1, 0.2],
      [Infinity, 0],
    ],
    "row 1 is not 2 finite numbers",
  ],
  ["a ragged row", [[0.1, 0.2], [0.3]], "row 1 is not 2 finite numbers"],
])("training refuses %s", (_name, pool, message) => {
  expect(() => trainForest(pool, { seed: 1, trees: 2 })).toThrow(message);
});

test("the published score is 0 at the zero row, 1 at the all-ones row, and between for all others", () => {
  const forest = defaultForest();

  expect(forestScore(forest, [0, 0, 0, 0, 0, 0, 0])).toBe(0);
  expect(forestScore(forest, [1, 1, 1, 1, 1, 1, 1])).toBe(1);
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 7, maxLength: 7 }),
      (row) => {
        const score = forestScore(forest, row);
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(1);
      },
    ),
  );
});

test("far rows are told apart, which the library alone cannot: background rows fill the box", () => {
  const forest = defaultForest();
  const scores = [0.05, 0.2, 0.5, 1].map((feature) =>
    forestScore(forest, [feature, feature, 0, 0, 0, 0, 0]),
  );

  expect(scores).toEqual([...scores].sort((a, b) => a - b));
  expect(new Set(scores).size).toBe(4);
});
