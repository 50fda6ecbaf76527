import { afterAll, describe, expect, test } from "@jest/globals";
import { readDefaultModel } from "../../detector/default-model.ts";
import { advanceAbsence, advanceEpisode, QUIET } from "../../detector/episode.ts";
import { openModel } from "../../detector/model.ts";
import { createSeriesState, scorePoint, type SeriesState } from "../../detector/score.ts";
import type { Episode } from "../../detector/types/episode.ts";
import type { PointScore } from "../../detector/types/scoring.ts";
import { copyOf, MINUTE, RULES } from "./given.ts";
import {
  DAY,
  evidenceIn,
  INCIDENTS,
  openShape,
  type IncidentName,
  type ShapeName,
} from "./shapes.ts";

// Ten scenarios (eight incidents, a series that vanishes, clean days) on nine base shapes, with the shipped model and
// the default settings: 8.5 days and more of minutes first, as the start reads them from Prometheus, then an incident at
// another time of the day for each seed, or five clean days instead.
const SEEDS = [1, 2, 3, 4];
const STARTS = [0.3, 0.62, 0.85, 0];
const LIVED_DAYS = 8.5;
const CLEAN_DAYS = 5;
/** An observer who knows everything still cannot tell an incident of fewer nats from 8.5 days of chance. */
const NATS_NEEDED = Math.log(LIVED_DAYS * DAY);
const { forest } = openModel(await readDefaultModel());

const SHIFT_UP = ["level_shift up"];
const SHIFT_DOWN = ["level_shift down"];
const ZERO = ["drop_to_zero down"];
const NOISE = ["volatility_spike up"];
/** At 1 % a minute a ramp leaves 3 % noise within ten minutes: a jump as seen from the twelve points before. */
const RAMP = ["trend_break up", "level_shift up"];

interface Expectation {
  /** Names that are right; any, if there are none. */
  readonly named: readonly string[];
  /** The incident must be found with so many of the four seeds; all, unless it says why not. */
  readonly found?: number;
  /** Whether the episode stays open until the incident ends. */
  readonly held?: false;
  readonly because?: string;
}

const PLAIN: Readonly<Record<IncidentName, Expectation>> = {
  "level shift x5": { named: SHIFT_UP },
  "drop to 1 %": { named: SHIFT_DOWN },
  "drop to 50 %": { named: SHIFT_DOWN },
  "shift of +40 %": { named: SHIFT_UP },
  "noise of 30 %": { named: NOISE },
  "trend of +1 %/min": { named: RAMP },
  "pulse of +30 %": { named: SHIFT_UP },
  "drop to zero": { named: ZERO },
};

const INSIDE_BURSTS = "bursts of the last week went there";
const COUNTS_SCATTER = "a count of 20 scatters by 22 % itself";
const NEVER_ZERO = "0 is what most minutes are";
const AS_BEFORE = "by night it is inside the day's range, and steps of the day blur the residual";
const LONG_TAIL = "its own tail reaches as far";
/** Found by so many seeds today, under whatever name. None stays none: a gap that closes must be taken out of here. */
const anything = (found: number, because: string): Expectation => ({
  named: [],
  found,
  held: false,
  because,
});

const EXPECTED: Readonly<Record<ShapeName, Readonly<Record<IncidentName, Expectation>>>> = {
  flat: PLAIN,
  sine: PLAIN,
  weekly: {
    ...PLAIN,
    "drop to 50 %": {
      named: [...SHIFT_DOWN, "trend_break down"],
      because: "the weekend before was nearly as low",
    },
    "shift of +40 %": { named: RAMP, because: "one seed of four finds it by its slope" },
  },
  rate: {
    ...PLAIN,
    "drop to 1 %": { named: [...SHIFT_DOWN, ...ZERO] },
    "noise of 30 %": {
      named: [...NOISE, "trend_break down"],
      held: false,
      because: "means of five minutes wander: one seed of four sees a trend first",
    },
    "trend of +1 %/min": { named: [...RAMP, ...NOISE], because: "one seed of four" },
    "drop to zero": {
      named: [...ZERO, ...SHIFT_DOWN],
      because: "it takes five minutes to get there",
    },
  },
  bursty: {
    ...PLAIN,
    "level shift x5": { ...PLAIN["level shift x5"], held: false, because: INSIDE_BURSTS },
    "drop to 50 %": { ...PLAIN["drop to 50 %"], held: false, because: "half a burst is above 20" },
    "shift of +40 %": { named: RAMP, held: false, because: INSIDE_BURSTS },
    "noise of 30 %": {
      named: [...NOISE, "percent_change down"],
      held: false,
      because: "one seed of four sees the end of a burst first",
    },
    "trend of +1 %/min": { named: RAMP, held: false, because: INSIDE_BURSTS },
  },
  integer: {
    ...PLAIN,
    "drop to 1 %": { named: [...ZERO, ...SHIFT_DOWN] },
    "shift of +40 %": { named: [...RAMP, ...NOISE], held: false, because: COUNTS_SCATTER },
    "noise of 30 %": { named: [...NOISE, ...SHIFT_UP], held: false, because: COUNTS_SCATTER },
  },
  sparse: {
    ...PLAIN,
    "drop to 1 %": { named: SHIFT_DOWN },
    "drop to zero": { named: SHIFT_DOWN, because: NEVER_ZERO },
  },
  office: {
    ...PLAIN,
    "level shift x5": anything(4, AS_BEFORE),
    "drop to 50 %": { ...PLAIN["drop to 50 %"], held: false, because: AS_BEFORE },
    "shift of +40 %": anything(2, AS_BEFORE),
    "noise of 30 %": anything(4, AS_BEFORE),
    "trend of +1 %/min": anything(2, AS_BEFORE),
    "pulse of +30 %": anything(1, AS_BEFORE),
  },
  latency: {
    ...PLAIN,
    "shift of +40 %": { named: RAMP, held: false, because: LONG_TAIL },
    "noise of 30 %": anything(2, LONG_TAIL),
    "trend of +1 %/min": anything(4, LONG_TAIL),
    "pulse of +30 %": anything(0, LONG_TAIL),
  },
};

/** Alerts of all four seeds: while they learned (a running detector would have told them), and in the clean days. */
const FALSE_ALERTS: Readonly<
  Record<ShapeName, { readonly learning: number; readonly clean: number; readonly why?: string }>
> = {
  flat: { learning: 0, clean: 0 },
  sine: { learning: 0, clean: 0 },
  rate: { learning: 0, clean: 0 },
  integer: { learning: 0, clean: 0 },
  weekly: {
    learning: 12,
    clean: 0,
    why: "the first weekend is news when it comes, and when it goes",
  },
  bursty: { learning: 1, clean: 0, why: "the highest burst so far" },
  sparse: { learning: 2, clean: 0, why: "the first minute with three errors is news" },
  office: { learning: 4, clean: 0, why: "the first closed Saturday" },
  latency: { learning: 3, clean: 0, why: "the slowest minute so far" },
};

interface Seen {
  readonly minute: number;
  readonly what: string;
}

interface Lived {
  readonly state: SeriesState;
  readonly episode: Episode;
}

/** A series that has lived through its first days, from which incidents branch off. */
interface Life extends Lived {
  readonly seed: number;
  readonly start: number;
  readonly last: PointScore;
  readonly learning: number;
  readonly clean: number;
}

function live(shape: ShapeName, seed: number): Life {
  const start = Math.round((LIVED_DAYS + (STARTS[seed - 1] ?? 0)) * DAY);
  const series = openShape(shape, seed);
  const before = goOn({ state: createSeriesState(), episode: QUIET }, series, 0, start);
  const { last } = before;
  if (last === undefined) throw new Error("nothing was scored");
  const lived = copyOf({ state: before.state, episode: before.episode });
  const after = goOn(before, series, start, start + CLEAN_DAYS * DAY);
  return { ...lived, seed, start, last, learning: opened(before.seen), clean: opened(after.seen) };
}

function opened(seen: readonly Seen[]): number {
  return seen.filter(({ what }) => what !== "closed").length;
}

function goOn(
  { state, episode }: Lived,
  series: (index: number) => number,
  from: number,
  end: number,
): Lived & { readonly seen: readonly Seen[]; readonly last: PointScore | undefined } {
  let now = episode;
  let last: PointScore | undefined;
  const seen: Seen[] = [];
  for (let index = from; index < end; index += 1) {
    last = scorePoint(state, { t: index * MINUTE, value: series(index) }, forest);
    if (last === undefined) continue;
    const [next, events] = advanceEpisode(now, last, RULES);
    now = next;
    for (const { kind, episode: said } of events) {
      const { reason, direction } = said.naming;
      seen.push({
        minute: index - from,
        what: kind === "closed" ? kind : `${reason} ${direction}`,
      });
    }
  }
  return { state, episode: now, seen, last };
}

function suffer(
  shape: ShapeName,
  { state, episode, seed, start }: Life,
  name: IncidentName,
): readonly Seen[] {
  const series = openShape(shape, seed, { name, at: start });
  for (let index = 0; index < start; index += 1) series(index);
  return goOn(copyOf({ state, episode }), series, start, start + INCIDENTS[name].minutes).seen;
}

const table: string[] = [];
afterAll(() => {
  process.stdout.write(
    `\nfirst minute of each incident, one column per seed\n${table.join("\n")}\n`,
  );
});

describe.each(Object.keys(EXPECTED) as ShapeName[])("%s", (shape) => {
  const lives = SEEDS.map((seed) => live(shape, seed));

  test("clean days raise nothing that is not expected", () => {
    const { learning, clean } = FALSE_ALERTS[shape];

    expect(lives.reduce((sum, life) => sum + life.clean, 0)).toBeLessThanOrEqual(clean);
    expect(lives.reduce((sum, life) => sum + life.learning, 0)).toBeLessThanOrEqual(learning);
  });

  test.each(Object.keys(INCIDENTS) as IncidentName[])("%s", (incident) => {
    const all = lives.map((life) => suffer(shape, life, incident));
    const firsts = all.map((seen) => seen.find(({ what }) => what !== "closed"));
    const count = firsts.filter((first) => first !== undefined).length;
    const isKnowable = evidenceIn(shape, incident) >= NATS_NEEDED;
    const { named, found, held, because } = EXPECTED[shape][incident];

    const columns = firsts.map((first) => String(first?.minute ?? "-").padStart(4)).join("");
    const remark = isKnowable ? (because ?? "") : "nobody could tell it from chance";
    table.push(`${shape.padEnd(8)} ${incident.padEnd(18)}${columns}  ${remark}`.trimEnd());
    // What was raised where nobody can know would be raised by chance as well.
    expect(isKnowable ? [] : all.flat()).toEqual([]);
    const wrong = firsts.filter((first) => first !== undefined && !named.includes(first.what));
    const closed = all.flat().filter(({ what }) => what === "closed");
    expect(named.length === 0 ? [] : wrong).toEqual([]);
    expect(held === false ? [] : closed).toEqual([]);
    expect(count).toBeGreaterThanOrEqual(isKnowable ? (found ?? SEEDS.length) : 0);
    expect(found === 0 ? count : 0).toBe(0);
  });

  test("the series vanishes", () => {
    const [{ last }] = lives as [Life];
    const missing = [1, 2, 3].map((missed) => ({ t: last.t + missed * MINUTE, missed }));
    let episode: Episode = QUIET;
    const reasons = missing.map((step) => {
      const [next, events] = advanceAbsence(episode, last, step, RULES);
      episode = next;
      return events.map((event) => event.episode.naming.reason);
    });

    expect(reasons).toEqual([[], [], ["absent"]]);
  });
});

test("what only ranks see is not called over while it lasts: bursts at half their load for five hours", () => {
  const closed = SEEDS.map((seed) => {
    const at = Math.round(LIVED_DAYS * DAY);
    const series = openShape("bursty", seed, { name: "drop to 50 %", at, minutes: 300 });
    const lived = goOn({ state: createSeriesState(), episode: QUIET }, series, 0, at);
    return goOn(lived, series, at, at + 300).seen.filter(({ what }) => what === "closed").length;
  });

  expect(closed).toEqual([0, 0, 0, 0]);
});
