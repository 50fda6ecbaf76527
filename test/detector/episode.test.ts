import { expect, test } from "@jest/globals";
import { advanceAbsence, advanceEpisode, QUIET } from "../../detector/episode.ts";
import type { Episode } from "../../detector/types/episode.ts";
import type { PointScore } from "../../detector/types/scoring.ts";
import {
  eventsOf,
  flat,
  MINUTE,
  RULES,
  scoresOf,
  sine,
  valuesOf,
  type SeenEvent,
} from "./given.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
const START = 1000;
const LENGTH = 120;

/** A noisy flat series with an incident of two hours, and half a day after it. */
function incident(seed: number, change: (value: number, since: number) => number): number[] {
  return valuesOf(flat, START + LENGTH + 700, seed).map((value, index) =>
    index >= START && index < START + LENGTH ? change(value, index - START) : value,
  );
}

function summary(events: readonly SeenEvent[]): string[] {
  return events.map(({ event }) =>
    event.kind === "closed"
      ? `closed ${event.cause}`
      : `${event.episode.naming.reason} ${event.episode.naming.direction}`,
  );
}

test.each(SEEDS)(
  "a level shift is published within 3 points, once, and closes when it ends (seed %i)",
  (seed) => {
    const events = eventsOf(incident(seed, (value) => value + 60));

    expect(summary(events)).toEqual(["level_shift up", "closed recovered"]);
    expect(events[0]?.at).toBeLessThanOrEqual(START + 2);
    expect(events[1]?.at).toBe(START + LENGTH + RULES.recoveryPoints - 1);
  },
);

test.each([
  ["drop to exactly zero", "drop_to_zero down", (): number => 0],
  ["drop to half", "level_shift down", (value: number): number => value / 2],
  ["fivefold value", "level_shift up", (value: number): number => value * 5],
  [
    "single spike",
    "percent_change up",
    (value: number, since: number): number => (since === 0 ? 300 : value),
  ],
  [
    "ramp over some points",
    "level_shift up",
    (value: number, since: number): number => value + Math.min(60, 15 * (since + 1)),
  ],
])("a %s is called %s", (_name, reason, change) => {
  for (const seed of SEEDS) {
    const events = eventsOf(incident(seed, change));

    expect(summary(events)).toEqual([reason, "closed recovered"]);
    expect(events[0]?.at).toBeLessThanOrEqual(START + 3);
  }
});

test("tenfold noise is called volatility_spike in most cases, and followed by its spread", () => {
  const seen = Array.from({ length: 20 }, (_, index) => {
    const noise = valuesOf((_index, draw) => 30 * draw(), LENGTH, index + 50);
    return summary(eventsOf(incident(index, (value, since) => value + (noise[since] ?? 0))));
  });

  expect(seen.every((events) => events.length === 2)).toBe(true);
  expect(seen.filter(([first]) => first === "volatility_spike up").length).toBeGreaterThanOrEqual(
    17,
  );
});

test.each([
  ["flat", flat],
  ["sine", sine],
])("two clean days of a %s series raise nothing", (_name, shape) => {
  for (let seed = 1; seed <= 12; seed += 1) {
    expect(eventsOf(valuesOf(shape, 2880, seed))).toEqual([]);
  }
});

test("nothing opens in the warm-up", () => {
  const values = [...valuesOf(flat, 290, 1), 900, 5, 700];

  expect(eventsOf(values)).toEqual([]);
});

test("a state that lasts becomes the new normal, and is not news again", () => {
  const rules = { ...RULES, newNormalPoints: 200 };
  const values = [
    ...valuesOf(flat, START, 1),
    ...valuesOf(flat, 900, 2).map((value) => value + 60),
  ];

  const events = eventsOf(values, rules);

  expect(summary(events)).toEqual(["level_shift up", "closed new_normal_accepted"]);
  expect(events[1]?.at).toBeLessThan(START + 205);
});

test("a lone spike below the percent threshold is not published", () => {
  const values = valuesOf((_index, noise) => 1000 + 0.5 * noise(), START + 300, 1);
  values[START] = 1030;

  expect(eventsOf(values)).toEqual([]);
  expect(summary(eventsOf(values, { ...RULES, percentThreshold: 1 }))).toEqual([
    "percent_change up",
    "closed recovered",
  ]);
});

test("the labels of a published episode never change, whatever comes", () => {
  const noise = valuesOf((_index, draw) => 40 * draw(), LENGTH, 9);
  const values = incident(1, (value, since) =>
    since < 3 ? value + 60 : value + 60 + (noise[since] ?? 0),
  );
  let episode: Episode = QUIET;
  const reasons = new Set<string>();
  for (const score of scoresOf(values)) {
    if (score === undefined) continue;
    [episode] = advanceEpisode(episode, score, RULES);
    if (episode.kind === "open" && episode.published) {
      reasons.add(`${episode.naming.reason} ${episode.naming.direction} ${episode.openedAt}`);
    }
  }

  expect([...reasons]).toEqual([`level_shift up ${START * MINUTE}`]);
});

test("points that were seen before the opening do not close an episode that was restored", () => {
  const values = incident(1, (value) => value + 60);
  const scores = scoresOf(values).flatMap((score) => score ?? []);
  const opened = open(scores.slice(0, START + 3));

  let episode: Episode = opened;
  for (const score of scores.slice(START - 50, START + 60))
    [episode] = advanceEpisode(episode, score, RULES);

  expect(episode).toMatchObject({ kind: "open", inside: 0 });
});

test("an episode survives being written as JSON", () => {
  const opened = open(
    scoresOf(incident(1, (value) => value + 60))
      .flatMap((score) => score ?? [])
      .slice(0, START + 3),
  );

  expect(JSON.parse(JSON.stringify(opened))).toEqual(opened);
});

function open(scores: readonly PointScore[]): Episode {
  return scores.reduce<Episode>(
    (episode, score) => advanceEpisode(episode, score, RULES)[0],
    QUIET,
  );
}

const known = scoresOf(valuesOf(flat, 400, 1)).at(-1) as PointScore;

test("a series is absent after three missing steps, once, and recovers with its first point", () => {
  const [early, none] = advanceAbsence(QUIET, known, { t: 401 * MINUTE, missed: 2 }, RULES);
  const [gone, events] = advanceAbsence(early, known, { t: 402 * MINUTE, missed: 3 }, RULES);
  const [still, silence] = advanceAbsence(gone, known, { t: 403 * MINUTE, missed: 4 }, RULES);
  const [back, closing] = advanceEpisode(still, { ...known, t: 404 * MINUTE }, RULES);

  expect(none).toEqual([]);
  expect(events).toMatchObject([{ kind: "published", episode: { naming: { reason: "absent" } } }]);
  expect(silence).toEqual([]);
  expect(closing).toMatchObject([{ kind: "closed", cause: "recovered" }]);
  expect(back.kind).toBe("quiet");
});

test("a young series is not missed, and a long absence is accepted", () => {
  const young = { ...known, n: 100 };
  const [gone] = advanceAbsence(QUIET, known, { t: 402 * MINUTE, missed: 3 }, RULES);

  expect(advanceAbsence(QUIET, young, { t: 402 * MINUTE, missed: 9 }, RULES)).toEqual([QUIET, []]);
  expect(advanceAbsence(gone, known, { t: 5000 * MINUTE, missed: 4032 }, RULES)[1]).toMatchObject([
    { kind: "closed", cause: "absent" },
  ]);
});
