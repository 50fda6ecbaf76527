// node --expose-gc test/bench/fleet.ts [series]
// A whole cycle of very many series on one core: each has lived for nine days, as it would in production.
import { readDefaultModel } from "../../detector/default-model.ts";
import { openModel } from "../../detector/model.ts";
import { createSeriesState, scorePoint, type SeriesState } from "../../detector/score.ts";
import { DAY, openShape } from "../detector/shapes.ts";

const MINUTE = 60_000;
const SERIES = Number(process.argv[2] ?? 100_000);
const LIVED_MINUTES = 9 * DAY;
const CYCLES = 3;
const TEMPLATES = ["flat", "sine", "weekly", "rate", "bursty", "integer", "sparse"] as const;

const { forest } = openModel(await readDefaultModel());
const lived = TEMPLATES.map((shape, index) => {
  const series = openShape(shape, index + 1);
  const state = createSeriesState();
  for (let minute = 0; minute < LIVED_MINUTES; minute += 1) {
    scorePoint(state, { t: minute * MINUTE, value: series(minute) }, forest);
  }
  return { state, series };
});

/** Takes over all that another series has lived through; the objects stay as the scorer made them. */
function learn(into: object, from: object): void {
  for (const [key, value] of Object.entries(from)) {
    const mine: unknown = (into as Record<string, unknown>)[key];
    if (ArrayBuffer.isView(value)) (mine as Float64Array).set(value as Float64Array);
    else if (typeof value === "object" && value !== null) learn(mine as object, value as object);
    else if (mine !== value) (into as Record<string, unknown>)[key] = value;
  }
}

globalThis.gc?.();
const before = process.memoryUsage().rss;
const fleet: SeriesState[] = [];
for (let index = 0; index < SERIES; index += 1) {
  const template = lived[index % lived.length];
  if (template === undefined) break;
  const state = createSeriesState();
  learn(state, template.state);
  fleet.push(state);
}
globalThis.gc?.();
process.stdout.write(
  `${SERIES.toLocaleString("en")} series: ${((process.memoryUsage().rss - before) / 2 ** 30).toFixed(2)} GiB resident\n`,
);

for (let cycle = 0; cycle < CYCLES; cycle += 1) {
  const minute = LIVED_MINUTES + cycle;
  const values = lived.map(({ series }) => series(minute));
  const start = process.cpuUsage();
  for (const [index, state] of fleet.entries()) {
    scorePoint(state, { t: minute * MINUTE, value: values[index % values.length] ?? NaN }, forest);
  }
  const { user, system } = process.cpuUsage(start);
  process.stdout.write(
    `cycle ${cycle + 1}: ${((user + system) / 1e6).toFixed(2)} s of one core, ${((user + system) / SERIES).toFixed(0)} µs a point\n`,
  );
}
process.stdout.write(`in all ${(process.memoryUsage().rss / 2 ** 30).toFixed(2)} GiB resident\n`);
