import { mulberry32, type Random } from "../../detector/random.ts";

export const DAY = 1440;

/** Normally distributed numbers with mean 0 and deviation 1 (Box and Muller). */
export function gaussian(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A count of independent events (Knuth; above 60 the normal approximation). */
function poisson(mean: number, random: Random): number {
  if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * gaussian(random)));
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random(); product > limit; product *= random()) count += 1;
  return count;
}

function daily(index: number): number {
  return Math.sin((2 * Math.PI * index) / DAY);
}

function isWeekend(index: number): boolean {
  return Math.floor(index / DAY) % 7 >= 5;
}

/** What an incident does to the load of a minute; 1 changes nothing. */
type Factor = (index: number) => number;

/** Gives the value of minute `index`; asked in order, since some shapes remember. */
type Series = (index: number) => number;

/**
 * Metrics as they come, one number per minute from a Monday on. An incident changes the load behind a metric: a count
 * of 20 at half the load is a count about 10, not each count halved.
 */
const SHAPES = {
  /** 100 with 3 % noise. */
  flat: (random, factor) => (index) => (100 + 3 * gaussian(random)) * factor(index),
  /** 100 ± 50 over the day. */
  sine: (random, factor) => (index) =>
    (100 + 50 * daily(index) + 3 * gaussian(random)) * factor(index),
  /** The same, at 60 % on weekends. */
  weekly: (random, factor) => (index) =>
    ((isWeekend(index) ? 0.6 : 1) * (100 + 50 * daily(index)) + 3 * gaussian(random)) *
    factor(index),
  /** rate(counter[5m]) of about ten events per second, ± 40 % over the day. */
  rate: (random, factor) => {
    const counts: number[] = [];
    return (index) => {
      counts.push(poisson(600 * (1 + 0.4 * daily(index)) * factor(index), random));
      if (counts.length > 5) counts.shift();
      return counts.reduce((sum, count) => sum + count, 0) / (60 * counts.length);
    };
  },
  /** 20 with bursts of 5 to 15 minutes at two to six times that, about every hour and a half. */
  bursty: (random, factor) => {
    let left = 0;
    let height = 1;
    return (index) => {
      left -= 1;
      if (left < 0 && random() < 1 / 90) {
        left = 5 + Math.floor(10 * random());
        height = 2 + 4 * random();
      }
      return (20 * (left > 0 ? height : 1) + gaussian(random)) * factor(index);
    };
  },
  /** A queue's length, about 20. */
  integer: (random, factor) => (index) => poisson(20 * factor(index), random),
  /** Errors per minute: one in two minutes. */
  sparse: (random, factor) => (index) => poisson(0.5 * factor(index), random),
  /** Office hours: 100 from 9 to 17 on weekdays, else 20. */
  office: (random, factor) => (index) => {
    const hour = (index % DAY) / 60;
    const open = !isWeekend(index) && hour >= 9 && hour < 17;
    return ((open ? 100 : 20) + 2 * gaussian(random)) * factor(index);
  },
  /** A latency with a long tail: log-normal around 200 ms, ± 20 % over the day. */
  latency: (random, factor) => (index) =>
    200 * (1 + 0.2 * daily(index)) * Math.exp(0.25 * gaussian(random)) * factor(index),
} as const satisfies Record<string, (random: Random, factor: Factor) => Series>;

export type ShapeName = keyof typeof SHAPES;

interface Incident {
  readonly minutes: number;
  /** `since` counts minutes from 0; `noise` is normal with deviation 1. */
  readonly factor: (since: number, noise: () => number) => number;
}

/** What can happen to a series. */
export const INCIDENTS = {
  "level shift x5": { minutes: 120, factor: () => 5 },
  "drop to 1 %": { minutes: 120, factor: () => 0.01 },
  "drop to 50 %": { minutes: 120, factor: () => 0.5 },
  "shift of +40 %": { minutes: 120, factor: () => 1.4 },
  "noise of 30 %": { minutes: 120, factor: (_since, noise) => Math.max(0, 1 + 0.3 * noise()) },
  "trend of +1 %/min": { minutes: 120, factor: (since) => 1 + 0.01 * since },
  "pulse of +30 %": { minutes: 10, factor: () => 1.3 },
  "drop to zero": { minutes: 120, factor: () => 0 },
} as const satisfies Record<string, Incident>;

export type IncidentName = keyof typeof INCIDENTS;

/** A series of minutes that goes on for as long as it is asked. */
export function openShape(
  shape: ShapeName,
  seed: number,
  incident?: { readonly name: IncidentName; readonly at: number; readonly minutes?: number },
): Series {
  const noise = mulberry32(seed * 31 + 5);
  return SHAPES[shape](mulberry32(seed * 7919 + 13), (index) => {
    if (incident === undefined) return 1;
    const { minutes, factor }: Incident = INCIDENTS[incident.name];
    const since = index - incident.at;
    return since < 0 || since >= (incident.minutes ?? minutes)
      ? 1
      : factor(since, () => gaussian(noise));
  });
}

/** Counts by the mean of a minute. */
const COUNTS: Partial<Record<ShapeName, number>> = { integer: 20, sparse: 0.5 };

/** How long bursts last at most, in minutes, and how many there are in 8.5 days. */
const BURST_MINUTES = 15;
const BURSTS_SEEN = (8.5 * DAY) / 100;
/** Deviations below the mean that 19 of 20 incidents exceed. */
const NINETEEN_OF_TWENTY = 1.645;

/**
 * What somebody could learn from a whole incident, in 19 of 20 cases; natural logarithms. Whoever wants less than one false
 * alert in 8.5 days of minutes must ask for ln(12,240) = 9.4.
 *
 * Of counts: the logarithm of the likelihood ratio, for an observer who knows their distribution before and in the
 * incident; its mean is Kullback and Leibler's information (On Information and Sufficiency, 1951), 1.645 of its deviations
 * less is what all but one in twenty give. Of bursts: for an observer who knows that bursts come, but not how high: one of
 * a height that none has had yet is to be expected once in as many bursts as were seen (the rule of succession), so a
 * lift of the load that is over as soon as a burst is no more news than that. Infinity for everything else.
 */
export function evidenceIn(shape: ShapeName, incident: IncidentName): number {
  const { minutes, factor }: Incident = INCIDENTS[incident];
  if (shape === "bursty" && minutes <= BURST_MINUTES && factor(0, () => 0) > 1) {
    return Math.log(BURSTS_SEEN);
  }
  const mean = COUNTS[shape];
  if (mean === undefined) return Infinity;
  if (incident === "noise of 30 %") {
    const rise = 0.09 * mean;
    const information = (minutes * (rise - Math.log(1 + rise))) / 2;
    return information - NINETEEN_OF_TWENTY * rise * Math.sqrt(minutes / 2);
  }
  let information = 0;
  let variance = 0;
  for (let since = 0; since < minutes; since += 1) {
    const f = factor(since, () => 0);
    const ratio = f === 0 ? 0 : Math.log(f);
    information += mean * (f * ratio - f + 1);
    variance += mean * f * ratio * ratio;
  }
  return information - NINETEEN_OF_TWENTY * Math.sqrt(variance);
}
