import { afterAll, describe, expect, test } from "@jest/globals";
import { readDefaultModel } from "../../detector/default-model.ts";
import { advanceAbsence, advanceEpisode, QUIET } from "../../detector/episode.ts";
import { openModel } from "../../detector/model.ts";
import { createSeriesState, scorePoint, type SeriesState } from "../../detector/score.ts";
import type { Episode, PointScore } from "../../detector/types.ts";
import { copyOf, MINUTE, RULES } from "./given.ts";
import {
  DAY,
  INCIDENTS,
  shapeValues,
  withIncident,
  type IncidentName,
  type ShapeName,
} from "./shapes.ts";

// Ten scenarios on seven base shapes, with the shipped model and the default
// settings: 8.5 days of minutes first, and the incident at another time of the day for each seed.
const SEEDS = [1, 2, 3, 4];
const STARTS = [0.3, 0.62, 0.85, 0];
const CLEAN_MINUTES = 8.5 * DAY;
const { forest } = openModel(await readDefaultModel());

const SHIFT_UP = ["level_shift up"];
const SHIFT_DOWN = ["level_shift down"];
const ZERO = ["drop_to_zero down"];
/** At 1 % a minute a ramp leaves 3 % noise within ten minutes: a jump as seen from the twelve points before. */
const RAMP = ["trend_break up", "level_shift up"];

interface Expectation {
  /** Names that are right. */
  readonly named: readonly string[];
  /** The incident must be found with so many of the four seeds; all, unless it says why not. */
  readonly found?: number;
  /** Whether the episode stays open until the incident ends. */
  readonly held?: false;
  readonly because?: string;
}

const SMOOTH: Readonly<Record<IncidentName, Expectation>> = {
  "level shift x5": { named: SHIFT_UP },
  "drop to 1 %": { named: SHIFT_DOWN },
  "drop to 50 %": { named: SHIFT_DOWN },
  "shift of +40 %": { named: SHIFT_UP },
  "noise of 30 %": { named: ["volatility_spike up"] },
  "trend of +1 %/min": { named: RAMP },
  "pulse of +30 %": { named: SHIFT_UP },
  "drop to zero": { named: ZERO },
};

const INSIDE_BURSTS = "bursts of the last week went there";
const COUNTS_SCATTER = "a count of 20 scatters by 22 % itself";
const MOSTLY_ZERO = "19 of 20 minutes are 0, and twice nothing is nothing";
/** Found by so many seeds today, under whatever name. None stays none: a gap that closes must be taken out of here. */
const anything = (found: number, because: string): Expectation => ({
  named: [],
  found,
  held: false,
  because,
});

const EXPECTED: Readonly<Record<ShapeName, Readonly<Record<IncidentName, Expectation>>>> = {
  flat: {
    ...SMOOTH,
    "trend of +1 %/min": { named: [...RAMP, "volatility_spike up"], because: "one seed of four" },
  },
  sine: SMOOTH,
  rate: SMOOTH,
  weekly: {
    ...SMOOTH,
    "drop to 50 %": {
      named: [...SHIFT_DOWN, "volatility_spike up"],
      found: 3,
      held: false,
      because: "at some hours the weekend before was as low",
    },
    "pulse of +30 %": {
      ...SMOOTH["pulse of +30 %"],
      found: 3,
      because: "at the day's minimum it is 15, the surprise of the weekend before was 60",
    },
  },
  bursty: {
    ...SMOOTH,
    "level shift x5": anything(3, INSIDE_BURSTS),
    "drop to 50 %": anything(0, "the range of its bursts is ten times the drop"),
    "shift of +40 %": anything(2, INSIDE_BURSTS),
    "noise of 30 %": anything(2, INSIDE_BURSTS),
    "trend of +1 %/min": anything(2, INSIDE_BURSTS),
    "pulse of +30 %": anything(0, INSIDE_BURSTS),
  },
  integer: {
    ...SMOOTH,
    "level shift x5": { named: [...SHIFT_UP, "volatility_spike up"], because: COUNTS_SCATTER },
    "drop to 1 %": { named: ZERO, because: "1 % of 20 rounds to 0" },
    "drop to 50 %": { named: [...SHIFT_DOWN, "trend_break down"], because: COUNTS_SCATTER },
    "shift of +40 %": { named: RAMP, because: COUNTS_SCATTER },
    "noise of 30 %": anything(2, COUNTS_SCATTER),
    "trend of +1 %/min": { named: RAMP },
    "pulse of +30 %": anything(0, COUNTS_SCATTER),
  },
  sparse: {
    "level shift x5": { named: ["percent_change up"], held: false, because: MOSTLY_ZERO },
    "drop to 1 %": anything(0, MOSTLY_ZERO),
    "drop to 50 %": anything(0, MOSTLY_ZERO),
    "shift of +40 %": anything(1, MOSTLY_ZERO),
    "noise of 30 %": anything(1, MOSTLY_ZERO),
    "trend of +1 %/min": anything(1, MOSTLY_ZERO),
    "pulse of +30 %": anything(0, MOSTLY_ZERO),
    "drop to zero": anything(0, MOSTLY_ZERO),
  },
};

/** Alerts in the 8.5 clean days of all four seeds, and why there are any. */
const FALSE_ALERTS: Readonly<Record<ShapeName, { readonly most: number; readonly why?: string }>> =
  {
    flat: { most: 0 },
    sine: { most: 0 },
    rate: { most: 0 },
    integer: { most: 0 },
    weekly: {
      most: 8,
      why: "the first weekend of a series is news when it comes, and when it goes",
    },
    bursty: { most: 3, why: "the highest burst so far is news" },
    sparse: { most: 4, why: "the first minute with three errors is news" },
  };

interface Seen {
  readonly minute: number;
  readonly what: string;
}

/** A series that has lived through its clean days, from which incidents branch off. */
interface Lived {
  readonly state: SeriesState;
  readonly episode: Episode;
  readonly alerts: number;
  readonly last: PointScore;
  readonly next: readonly number[];
  readonly start: number;
}

function live(shape: ShapeName, seed: number): Lived {
  const start = CLEAN_MINUTES + Math.round((STARTS[seed - 1] ?? 0) * DAY);
  const { before, next } = shapeValues(shape, { seed, clean: start, after: 180 });
  const state = createSeriesState();
  const { episode, seen, last } = goOn({ state, episode: QUIET, start: 0 }, before);
  if (last === undefined) throw new Error("nothing was scored");
  const alerts = seen.filter(({ what }) => what !== "closed").length;
  return { state, episode, alerts, last, next, start };
}

function goOn(
  from: Pick<Lived, "state" | "episode" | "start">,
  values: readonly number[],
): { readonly episode: Episode; readonly seen: readonly Seen[]; readonly last?: PointScore } {
  let { episode } = from;
  let last: PointScore | undefined;
  const seen: Seen[] = [];
  for (const [minute, value] of values.entries()) {
    last = scorePoint(from.state, { t: (from.start + minute) * MINUTE, value }, forest);
    if (last === undefined) continue;
    const [next, events] = advanceEpisode(episode, last, RULES);
    episode = next;
    for (const { kind, episode: said } of events) {
      const { reason, direction } = said.naming;
      seen.push({ minute, what: kind === "closed" ? "closed" : `${reason} ${direction}` });
    }
  }
  return { episode, seen, ...(last === undefined ? {} : { last }) };
}

const table: string[] = [];
afterAll(() => {
  process.stdout.write(
    `\nfirst minute of each incident, one column per seed\n${table.join("\n")}\n`,
  );
});

describe.each(Object.keys(EXPECTED) as ShapeName[])("%s", (shape) => {
  const lives = SEEDS.map((seed) => live(shape, seed));

  test("the clean days raise nothing that is not expected", () => {
    const { most } = FALSE_ALERTS[shape];
    expect(lives.reduce((sum, { alerts }) => sum + alerts, 0)).toBeLessThanOrEqual(most);
  });

  test.each(Object.keys(INCIDENTS) as IncidentName[])("%s", (incident) => {
    const { named, found = SEEDS.length, held, because } = EXPECTED[shape][incident];
    const { minutes } = INCIDENTS[incident];
    const all = lives.map(({ state, episode, next, start }, index) => {
      const values = withIncident(shape, incident, next, SEEDS[index] ?? 0);
      return goOn({ state: copyOf(state), episode, start }, values).seen.filter(
        ({ minute }) => minute < minutes,
      );
    });
    const firsts = all.map((seen) => seen.find(({ what }) => what !== "closed"));
    const wrong = firsts.filter((first) => first !== undefined && !named.includes(first.what));
    const closed = all.flat().filter(({ what }) => what === "closed");

    expect(named.length === 0 ? [] : wrong).toEqual([]);
    expect(held === false ? [] : closed).toEqual([]);
    const columns = firsts.map((first) => String(first?.minute ?? "-").padStart(4)).join("");
    table.push(`${shape.padEnd(8)} ${incident.padEnd(18)}${columns}  ${because ?? ""}`.trimEnd());
    const count = firsts.filter((first) => first !== undefined).length;
    expect(count).toBeGreaterThanOrEqual(found);
    expect(found === 0 ? count : 0).toBe(0);
  });

  test("the series vanishes", () => {
    const [{ last }] = lives as [Lived];
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
