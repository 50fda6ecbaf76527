// node --expose-gc test/bench/detector.ts [series]
// What one core does: points, series, bytes, training, and the library's own predict in the same run.
import { execFileSync } from "node:child_process";
import { IsolationForest, type TreeNode } from "ml-isolation-forest";
import { compileTrees } from "../../detector/compile.ts";
import { readDefaultModel } from "../../detector/default-model.ts";
import { rawScore } from "../../detector/forest.ts";
import { openModel, trainDefaultModel } from "../../detector/model.ts";
import { mulberry32 } from "../../detector/random.ts";
import { createSeriesState, scorePoint, type SeriesState } from "../../detector/score.ts";

const MINUTE = 60_000;
const DAY = 1440;
const SERIES = Number(process.argv[2] ?? 20);
const MEASURED_SERIES = 2000;
const LIVED_MINUTES = 9 * DAY;
const QUERIES = 4000;
const ROUNDS = 5;
const PYTHON = "/usr/bin/python3";
const SKLEARN = `
import time, numpy as np
from sklearn.ensemble import IsolationForest
r = np.random.default_rng(1); m = IsolationForest(n_estimators=200, max_samples=256, random_state=1).fit(r.random((4032, 7)) ** 3)
q = r.random((200, 7)); t = time.process_time()
for row in q: m.score_samples(row.reshape(1, -1))
print((time.process_time() - t) / len(q) * 1e6)`;

const { forest } = openModel(await readDefaultModel());
const random = mulberry32(1);
const value = (index: number): number =>
  100 + 50 * Math.sin((2 * Math.PI * index) / DAY) + 6 * (random() + random() - 1);

function microseconds(work: () => void, times: number): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / times;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >>> 1] ?? NaN;
}

function row(name: string, number: number, unit: string): void {
  const text = number >= 100 ? Math.round(number).toLocaleString("en") : number.toFixed(2);
  process.stdout.write(`${name.padEnd(52)} ${text.padStart(12)} ${unit}\n`);
}

function memory(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function live(states: readonly SeriesState[], from: number, minutes: number): void {
  for (const state of states) {
    for (let index = from; index < from + minutes; index += 1) {
      scorePoint(state, { t: index * MINUTE, value: value(index) }, forest);
    }
  }
}

live([createSeriesState()], 0, 2 * DAY); // the compiler warms up
// All columns of a state exist from the start, so its size does not depend on how long it has lived.
const before = memory();
const measured = Array.from({ length: MEASURED_SERIES }, () => createSeriesState());
live(measured, 0, 1);
const bytes = (memory() - before) / measured.length;

const states = measured.slice(0, SERIES);
live(states, 1, LIVED_MINUTES);
const perPoint = median(
  Array.from({ length: ROUNDS }, (_, round) =>
    microseconds(() => {
      live(states, LIVED_MINUTES + round * 60, 60);
    }, SERIES * 60),
  ),
);

const pool = Array.from({ length: 256 }, () => Array.from({ length: 7 }, () => random() ** 3));
const trees = Array.from({ length: 200 }, () => {
  const model = new IsolationForest({ nEstimators: 1 });
  model.train(pool);
  return model.forest[0] as TreeNode;
});
const library = new IsolationForest({ nEstimators: trees.length });
library.trainingSet = pool;
library.forest = trees;
const compiled = compileTrees(trees, 256, 7);
const queries = Array.from({ length: QUERIES }, () => Array.from({ length: 7 }, random));
let checksum = 0;
const compare = (score: (query: number[]) => number): number =>
  median(
    Array.from({ length: ROUNDS }, () =>
      microseconds(() => {
        for (const query of queries) checksum += score(query);
      }, QUERIES),
    ),
  );
const ours = compare((query) => rawScore(compiled, query));
const theirs = compare((query) => library.predict([query])[0] ?? NaN);

row("score one point, end to end (CPU)", perPoint, "µs");
row("points per minute on one core", 60e6 / perPoint, "");
row("bytes per series (heap and buffers)", bytes, "bytes");
row("100,000 series in memory", (bytes * 1e5) / 2 ** 30, "GiB");
row(
  "train the default model (600 trees)",
  microseconds(() => trainDefaultModel(new Date(0)), 1) / 1000,
  "ms",
);
row("forest of 200 trees, one row: compiled", ours, "µs");
row("forest of 200 trees, one row: ml-isolation-forest", theirs, "µs");
row("compiled is faster by", theirs / ours, "times");
try {
  const sklearn = Number(
    execFileSync(PYTHON, ["-c", SKLEARN], { encoding: "utf8", stdio: "pipe" }),
  );
  row("forest of 200 trees, one row: sklearn", sklearn, "µs");
  row("a whole point of ours is faster by", sklearn / perPoint, "times");
} catch {
  process.stdout.write(`sklearn is not installed for ${PYTHON}: not compared\n`);
}
if (!Number.isFinite(checksum)) throw new Error("a score was not a number");
