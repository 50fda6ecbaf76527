import { mulberry32, type Random } from "../../detector/random.ts";

export const DAY = 1440;

/** Gives the value of minute `index`; asked in order, since some shapes remember. */
type Series = (index: number) => number;

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

/** Metrics as they come, one number per minute from a Monday on. */
const SHAPES = {
  /** 100 with 3 % noise. */
  flat: (random) => () => 100 + 3 * gaussian(random),
  /** 100 ± 50 over the day. */
  sine: (random) => (index) => 100 + 50 * daily(index) + 3 * gaussian(random),
  /** The same, at 60 % on weekends. */
  weekly: (random) => (index) => {
    const weekend = Math.floor(index / DAY) % 7 >= 5;
    return (weekend ? 0.6 : 1) * (100 + 50 * daily(index)) + 3 * gaussian(random);
  },
  /** rate(counter[5m]) of about ten events per second, ± 40 % over the day. */
  rate: (random) => {
    const counts: number[] = [];
    return (index) => {
      counts.push(poisson(600 * (1 + 0.4 * daily(index)), random));
      if (counts.length > 5) counts.shift();
      return counts.reduce((sum, count) => sum + count, 0) / (60 * counts.length);
    };
  },
  /** 20 with bursts of 5 to 15 minutes at two to six times that, about every hour and a half. */
  bursty: (random) => {
    let left = 0;
    let height = 1;
    return () => {
      left -= 1;
      if (left < 0 && random() < 1 / 90) {
        left = 5 + Math.floor(10 * random());
        height = 2 + 4 * random();
      }
      return 20 * (left > 0 ? height : 1) + gaussian(random);
    };
  },
  /** A queue's length, about 20. */
  integer: (random) => () => poisson(20, random),
  /** Errors per minute: one in twenty minutes. */
  sparse: (random) => () => poisson(0.05, random),
} as const satisfies Record<string, (random: Random) => Series>;

export type ShapeName = keyof typeof SHAPES;

interface Incident {
  readonly minutes: number;
  /** `since` counts minutes from 0; `noise` is normal with deviation 1. */
  readonly change: (value: number, since: number, noise: () => number) => number;
}

/** What can happen to a series. */
export const INCIDENTS = {
  "level shift x5": { minutes: 120, change: (value) => 5 * value },
  "drop to 1 %": { minutes: 120, change: (value) => 0.01 * value },
  "drop to 50 %": { minutes: 120, change: (value) => 0.5 * value },
  "shift of +40 %": { minutes: 120, change: (value) => 1.4 * value },
  "noise of 30 %": { minutes: 120, change: (value, _since, noise) => value * (1 + 0.3 * noise()) },
  "trend of +1 %/min": { minutes: 120, change: (value, since) => value * (1 + 0.01 * since) },
  "pulse of +30 %": { minutes: 10, change: (value) => 1.3 * value },
  "drop to zero": { minutes: 120, change: () => 0 },
} as const satisfies Record<string, Incident>;

export type IncidentName = keyof typeof INCIDENTS;

/** The values of a whole series: `clean` minutes, then the incident, then an hour after it. */
export function shapeValues(
  shape: ShapeName,
  { seed, clean, after }: { readonly seed: number; readonly clean: number; readonly after: number },
): { readonly before: readonly number[]; readonly next: readonly number[] } {
  const series: Series = SHAPES[shape](mulberry32(seed * 7919 + 13));
  const values = Array.from({ length: clean + after }, (_, index) => series(index));
  return { before: values.slice(0, clean), next: values.slice(clean) };
}

/** What became of `next` by the incident. Counts stay counts. */
export function withIncident(
  shape: ShapeName,
  incident: IncidentName,
  next: readonly number[],
  seed: number,
): number[] {
  const { minutes, change }: Incident = INCIDENTS[incident];
  const random = mulberry32(seed * 31 + 5);
  const isCount = shape === "integer" || shape === "sparse";
  return next.slice(0, minutes + 60).map((value, since) => {
    if (since >= minutes) return value;
    const changed = change(value, since, () => gaussian(random));
    return isCount ? Math.max(0, Math.round(changed)) : changed;
  });
}
