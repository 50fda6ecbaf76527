import { expect, test } from "@jest/globals";
import { readDefaultModel } from "../../detector/default-model.ts";
import { advanceEpisode, QUIET } from "../../detector/episode.ts";
import { openModel } from "../../detector/model.ts";
import { mulberry32 } from "../../detector/random.ts";
import { createSeriesState, scorePoint } from "../../detector/score.ts";
import type { Episode } from "../../detector/types/episode.ts";
import { MINUTE, RULES } from "./given.ts";
import { DAY, gaussian, openShape } from "./shapes.ts";

const { forest } = openModel(await readDefaultModel());

/** The names under which a series of minutes is told about, with the minute counted from `from`. */
function toldAbout(series: (index: number) => number, end: number, from = 0): readonly string[] {
  const state = createSeriesState();
  let episode: Episode = QUIET;
  const told: string[] = [];
  for (let minute = 0; minute < end; minute += 1) {
    const score = scorePoint(state, { t: minute * MINUTE, value: series(minute) }, forest);
    if (score === undefined) continue;
    const [next, events] = advanceEpisode(episode, score, RULES);
    episode = next;
    for (const { kind, episode: said } of events) {
      told.push(`${kind} ${said.naming.reason} ${minute - from}`);
    }
  }
  return told;
}

// Each of them has a value of 4.5 deviations or more, further out than all before it.
test.each([1, 3, 47_520])(
  "33 days of noise raise nothing (seed %i)",
  (seed) => {
    const random = mulberry32(seed);

    expect(toldAbout(() => 100 + 3 * gaussian(random), 33 * DAY)).toEqual([]);
  },
  120_000,
);

test("a lone point that is no news hides nothing that comes after it", () => {
  const at = Math.round(8.95 * DAY);
  const series = openShape("flat", 29, { name: "trend of +1 %/min", at });

  expect(toldAbout(series, at + 120, at)).toEqual(["published trend_break 14"]);
});
