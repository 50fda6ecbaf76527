import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { IsolationForest, type TreeNode } from "ml-isolation-forest";
import { averagePathLength } from "../../detector/forest.ts";
import { mulberry32 } from "../../detector/random.ts";

// Each defect of ml-isolation-forest 0.1.0 that detector/train.ts works around. When one of these fails after an
// upgrade, the work-around can go.
const original = Math.random;
beforeEach(() => {
  Math.random = mulberry32(11);
});
afterEach(() => {
  Math.random = original;
});

function cloud(count: number, width = 2): number[][] {
  return Array.from({ length: count }, () => Array.from({ length: width }, () => Math.random()));
}

function trained(rows: readonly (readonly number[])[], trees = 50): IsolationForest {
  const model = new IsolationForest({ nEstimators: trees });
  model.train(rows);
  return model;
}

function leaves(node: TreeNode): TreeNode[] {
  return node.left && node.right ? [...leaves(node.left), ...leaves(node.right)] : [node];
}

test("it does not subsample: every tree is trained on all rows", () => {
  const model = trained(cloud(3000), 3);

  for (const tree of model.forest) {
    expect(leaves(tree).reduce((sum, leaf) => sum + (leaf.trainingSet?.length ?? 0), 0)).toBe(3000);
  }
});

test("a second train has no effect on predictions but for the normalising size", () => {
  const model = trained(cloud(256), 20);
  const first = [...model.forest];

  model.train(cloud(256).map((row) => row.map((value) => value + 50)));

  expect(model.forest).toHaveLength(40);
  expect(model.forest.slice(0, 20)).toEqual(first);
  expect(model.predict([[50.5, 50.5]])[0]).toBeGreaterThan(0.6);
});

test("its c(n) adds Euler's constant outside of the factor 2", () => {
  const paper = 2 * (Math.log(255) + 0.5772156649) - (2 * 255) / 256;

  expect(averagePathLength(256)).toBeCloseTo(9.6675, 4);
  expect(paper).toBeCloseTo(10.2448, 4);
});

test("its trees are one level deeper than ceil(log2 n)", () => {
  const depth = (node: TreeNode): number =>
    node.left && node.right ? 1 + Math.max(depth(node.left), depth(node.right)) : 0;

  expect(Math.max(...trained(cloud(256), 20).forest.map(depth))).toBe(9);
});

test("it splits on constant columns, which hides outliers", () => {
  const rows = cloud(256);
  const plain = trained(rows, 100).predict([[9, 9]])[0] ?? NaN;
  const padded = rows.map((row) => [...row, 1, 1, 1, 1, 1, 1]);
  const hidden = trained(padded, 100).predict([[9, 9, 1, 1, 1, 1, 1, 1]])[0] ?? NaN;

  expect(plain - hidden).toBeGreaterThan(0.2);
});

test("a NaN in training silently deletes rows", () => {
  const rows = cloud(256);
  (rows[7] as number[])[0] = NaN;
  const kept = trained(rows, 50).forest.map((tree) =>
    leaves(tree).reduce((sum, leaf) => sum + (leaf.trainingSet?.length ?? 0), 0),
  );

  expect(Math.min(...kept)).toBeLessThan(256);
});

test("an empty training set predicts NaN instead of failing", () => {
  expect(trained([], 2).predict([[1, 2]])[0]).toBeNaN();
});

test("it cannot be seeded but by Math.random", () => {
  const rows = cloud(256);
  const score = (seed: number): number | undefined => {
    Math.random = mulberry32(seed);
    return trained(rows, 10).predict([[0.5, 0.5]])[0];
  };

  expect(score(1)).toBe(score(1));
  expect(score(1)).not.toBe(score(2));
});

test("beyond the training range all scores are equal", () => {
  const [four, ten, thousand] = trained(cloud(256), 50).predict([
    [4, 4],
    [10, 10],
    [1000, 1000],
  ]);

  expect(ten).toBe(four);
  expect(thousand).toBe(four);
});
