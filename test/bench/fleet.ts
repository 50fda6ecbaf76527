// node --expose-gc test/bench/fleet.ts [series]
// Whole cycles of very many series on one core, as the detector runs them: query (a source in memory), evaluate, episodes,
// records, metrics, journal. Each series has lived for nine days, as it would in production.
import { Registry } from "prom-client";
import { runCycle, type CycleDeps } from "../../detector/cycle.ts";
import { readDefaultModel } from "../../detector/default-model.ts";
import { Journal } from "../../detector/journal.ts";
import { createDetectorMetrics } from "../../detector/metrics.ts";
import { openModel } from "../../detector/model.ts";
import { createSeriesState, scorePoint } from "../../detector/score.ts";
import { watchMetric } from "../../detector/watched-metric.ts";
import { exposition } from "../../lib/exposition.ts";
import { silentLog } from "../../lib/log.ts";
import { RULES } from "../detector/given.ts";
import { DAY, openShape } from "../detector/shapes.ts";
import { fakeClock } from "../fakes/clock.ts";

const MINUTE = 60_000;
const SERIES = Number(process.argv[2] ?? 100_000);
const LIVED_MINUTES = 9 * DAY;
const CYCLES = 5;
const TEMPLATES = ["flat", "sine", "weekly", "rate", "bursty", "integer", "sparse"] as const;

const model = openModel(await readDefaultModel());
const lived = TEMPLATES.map((shape, index) => {
  const series = openShape(shape, index + 1);
  const state = createSeriesState();
  for (let minute = 0; minute < LIVED_MINUTES; minute += 1) {
    scorePoint(state, { t: minute * MINUTE, value: series(minute) }, model.forest);
  }
  return { state, series };
});

function gibibytes(): string {
  globalThis.gc?.();
  const peak = process.resourceUsage().maxRSS / 2 ** 20;
  return `${(process.memoryUsage().rss / 2 ** 30).toFixed(2)} GiB resident, ${peak.toFixed(2)} at most so far`;
}

const labels = Array.from({ length: SERIES }, (_, index) => ({
  namespace: `team-${index % 50}`,
  app: `app-${index % 2_000}`,
  pod: `app-${index % 2_000}-${index}`,
}));
const clock = fakeClock(new Date((LIVED_MINUTES - 1) * MINUTE));
const registry = new Registry();
const metrics = createDetectorMetrics(registry);
const budget = { max: SERIES, used: 0 };
const alerts: string[] = [];
const deps: CycleDeps = {
  source: {
    query: async (_expr, { from, to, step }) => {
      const times: number[] = [];
      for (let t = from; t <= to; t += step) times.push(t);
      const points = lived.map(({ series }) =>
        times.map((t) => ({ t, value: series(t / MINUTE) })),
      );
      return labels.map((own, index) => ({
        labels: own,
        points: points[index % points.length] ?? [],
      }));
    },
  },
  ...{ model, budget, clock, metrics, rules: RULES, step: MINUTE, pageThreshold: 0.8 },
  journal: new Journal({ store: undefined, metrics, log: silentLog }),
  outbox: { add: ({ id }) => void alerts.push(id) },
  downTargets: async () => () => false,
  features: undefined,
  ...{ onAnomaly: () => undefined, onProgress: () => undefined, log: silentLog },
  signal: new AbortController().signal,
};
const metric = watchMetric(
  { name: "latency", expr: "latency" },
  {
    resume: { evaluatedUntil: (LIVED_MINUTES - 1) * MINUTE, open: [] },
    ...{ now: (LIVED_MINUTES - 1) * MINUTE, step: MINUTE, backfillPoints: 0 },
  },
  budget,
);

async function cycle(name: string): Promise<void> {
  await clock.advance(MINUTE);
  const start = process.cpuUsage();
  await runCycle([metric], deps);
  const { user, system } = process.cpuUsage(start);
  const seconds = (user + system) / 1e6;
  process.stdout.write(
    `${name}: ${seconds.toFixed(2)} s of one core, ${((1e6 * seconds) / SERIES).toFixed(0)} µs a series, ` +
      `${Math.round((60 * SERIES) / seconds).toLocaleString("en")} series a minute\n`,
  );
}

await cycle("first cycle (series are made)");
const templates = lived.map(({ state }) => new Float64Array(state));
for (const [index, { state }] of [...metric.series.values()].entries()) {
  new Float64Array(state).set(templates[index % templates.length] ?? []);
}
process.stdout.write(`${metric.series.size.toLocaleString("en")} series: ${gibibytes()}\n`);
for (let count = 1; count <= CYCLES; count += 1) await cycle(`cycle ${count}`);
process.stdout.write(`after them: ${gibibytes()}, ${alerts.length} alerts\n`);
const start = process.cpuUsage();
let bytes = 0;
for await (const piece of exposition(registry)) bytes += Buffer.byteLength(piece);
const { user, system } = process.cpuUsage(start);
process.stdout.write(
  `/metrics: ${(bytes / 1e6).toFixed(0)} MB in ${((user + system) / 1e6).toFixed(2)} s; ${gibibytes()}\n`,
);
