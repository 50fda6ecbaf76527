import { setImmediate } from "node:timers/promises";
import type { ScaledForest } from "../forest.ts";
import { replaySeries } from "../replay.ts";
import { seriesId } from "../series.ts";
import type { EpisodeRules } from "../types/episode.ts";
import type { MetricHistory } from "./history.ts";
import { judge, type Judgement, type SeriesReplay } from "./judge.ts";
import type { IncidentWindow } from "./windows.ts";

export interface BacktestDeps {
  readonly forest: ScaledForest | undefined;
  readonly rules: EpisodeRules;
  readonly step: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Backtest {
  readonly judgement: Judgement;
  readonly replays: readonly SeriesReplay[];
}

/** history → replay each series → judge. Deterministic: the same history, model and rules give the same report. */
export async function backtest(
  history: readonly MetricHistory[],
  windows: readonly IncidentWindow[] | undefined,
  { forest, rules, step, onProgress = () => undefined }: BacktestDeps,
): Promise<Backtest> {
  const all = history.flatMap(({ query, series }) =>
    series.map((samples) => ({ query, ...samples })),
  );
  const replays: SeriesReplay[] = [];
  for (const { query, labels, points } of all) {
    const episodes = replaySeries(points, { forest, rules, step });
    const [from, to] = [points.at(0)?.t ?? 0, points.at(-1)?.t ?? 0];
    replays.push({
      metric: query.name,
      series: seriesId(labels),
      points: points.length,
      from,
      to,
      episodes,
    });
    onProgress(replays.length, all.length);
    await setImmediate(); // a progress bar wants to move
  }
  return { judgement: judge(replays, windows), replays };
}
