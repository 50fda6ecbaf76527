import { leadingStream } from "./explain.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Band, StreamName } from "./types/scoring.ts";

/** A number as people read it: six digits, no padding. */
export function short(value: number): string {
  return String(Number(value.toPrecision(6)));
}

/** One line for a list, a phone, a chat. */
export function summaryOf(anomaly: Anomaly): string {
  const { metric, reason, direction } = anomaly;
  const current = short(anomaly.value);
  if (reason === "absent") return `${metric}: series vanished, its last value was ${current}`;
  if (reason === "stale_scrape") {
    return `${metric}: series vanished because its target is down, its last value was ${current}`;
  }
  return `${metric}: ${reason.replaceAll("_", " ")} ${direction}, ${current} against ${short(anomaly.baseline)}`;
}

/** What each stream measures. */
export const STREAM_WORDS: Readonly<Record<StreamName, string>> = {
  value: "the value itself",
  level: "the mean of the last 12 points",
  shift: "the mean of the last 36 points against the 216 before them",
  spread: "the spread of the last 48 points",
  ratio: "the logarithm of the value, which shows changes in percent",
  trend: "the slope of the last 48 points",
  residual: "the difference from the same time of earlier days",
  residual_level: "the mean of the last 12 differences from earlier days",
  residual_shift:
    "the mean of the last 36 differences from earlier days against the 216 before them",
  residual_spread: "the spread of the last 48 differences from earlier days",
  residual_trend: "the slope of the last 48 differences from earlier days",
  rank_mean: "the mean of the last 48 ranks (as normal scores)",
  rank_mean_long: "the mean of the last 144 ranks (as normal scores)",
  rank_spread: "the spread of the last 48 ranks (as normal scores)",
  rank_spread_long: "the spread of the last 144 ranks (as normal scores)",
  rank_low: "the mean of the lower half of the last 48 ranks (as normal scores)",
  rank_run: "the root of how many points in a row lay on the same side of the median",
  rank_high: "the mean of the upper half of the last 48 ranks (as normal scores)",
};

/** The explanation in sentences, each with the numbers it rests on. */
export function explainInWords(anomaly: Anomaly): readonly string[] {
  const { opening } = anomaly.evidence;
  const expected = `${bandInWords(opening.bands.value)} was expected`;
  if (anomaly.reason === "absent" || anomaly.reason === "stale_scrape") {
    return [reasonSentence(anomaly), `Its last value was ${short(opening.value)}; ${expected}.`];
  }
  const leading = leadingStream(opening);
  const [value, band] = [opening.streams[leading], opening.bands[leading]];
  return [
    reasonSentence(anomaly),
    `The value was ${short(opening.value)} where ${expected}; the median of the 288 points before was ${short(opening.baseline)}${percentInWords(opening.percentChange)}.`,
    `What moved furthest out of its past was ${STREAM_WORDS[leading]} (${leading}): ${value === undefined ? "unknown" : short(value)}, expected ${bandInWords(band)}. Its weight was ${opening.weights[leading].toFixed(2)}, 1 is saturated.`,
    `The score was ${anomaly.score.toFixed(2)} on a scale from 0 to 1.`,
  ];
}

function reasonSentence({ reason, direction, metric }: Anomaly): string {
  const way = direction === "up" ? "up" : "down";
  switch (reason) {
    case "level_shift":
      return `${metric} moved ${way} to another level and stayed there.`;
    case "volatility_spike":
      return `${metric} scatters ${direction === "up" ? "more" : "less"} than before.`;
    case "trend_break":
      return `${metric} began to drift ${way}.`;
    case "percent_change":
      return `${metric} jumped ${way} and came back at once.`;
    case "drop_to_zero":
      return `${metric} fell to exactly 0.`;
    case "absent":
      return `A series of ${metric} vanished although Prometheus answers.`;
    case "stale_scrape":
      return `A series of ${metric} vanished because Prometheus cannot scrape its target.`;
  }
}

function percentInWords(percent: number | undefined): string {
  return percent === undefined ? "" : ` (${percent > 0 ? "+" : ""}${percent.toFixed(1)} %)`;
}

export function bandInWords(band: Band | undefined): string {
  return band === undefined ? "nothing yet" : `${short(band.low)} to ${short(band.high)}`;
}
