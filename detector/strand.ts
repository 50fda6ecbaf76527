import type { Arena } from "./arena.ts";
import { featureRow, rangeFloor, weigh, type BaseWeights, type PastRange } from "./features.ts";
import {
  createNoveltyMemory,
  expectedBand,
  extremesOf,
  takeNovelty,
  type Novelty,
  type NoveltyMemory,
} from "./novelty.ts";
import type { PastWindow } from "./past-window.ts";
import { RecentValues } from "./recent-values.ts";
import { BASE_STREAMS, deriveStreams, STREAM_MEMORY_POINTS, type BaseValues } from "./streams.ts";
import type { Band, BaseStream } from "./types/scoring.ts";

const CENTRE_POINTS = 12;

/** The memories of a strand that has no ratio: its numbers may be of either sign. */
type Memories = Readonly<Record<Exclude<BaseStream, "ratio">, NoveltyMemory>> & {
  readonly ratio: NoveltyMemory | undefined;
};

/** One strand of a series (its values, or what remains of them after the season) with its derived streams. */
export interface Strand {
  readonly newest: RecentValues;
  readonly memories: Memories;
}

/** What a strand says about a number; everything is measured against the numbers before it. */
export interface Reading {
  readonly streams: BaseValues;
  readonly bands: Readonly<Record<BaseStream, Band | undefined>>;
  /** Weights by novelty against all that was seen, and against the settled past alone. */
  readonly fresh: BaseWeights;
  readonly lasting: BaseWeights;
  /** The share of the numbers before that are smaller; NaN while there are none. */
  readonly rank: number;
  /** Robust range of the numbers before. */
  readonly core: number;
  /** Mean of the 12 numbers before, and the usual spread over 48; NaN while nothing is known. */
  readonly centre: number;
  readonly noise: number;
}

/** A strand that has seen nothing. `createPast` makes the window of one stream. */
export function createStrand(
  createPast: () => PastWindow,
  { ratio, arena }: { readonly ratio: boolean; readonly arena?: Arena },
): Strand {
  const memory = (): NoveltyMemory => createNoveltyMemory(createPast(), arena);
  return {
    newest: new RecentValues(STREAM_MEMORY_POINTS, arena),
    memories: {
      value: memory(),
      level: memory(),
      shift: memory(),
      spread: memory(),
      ratio: ratio ? memory() : undefined,
      trend: memory(),
    },
  };
}

/** Measures `value` against everything before it, then remembers it. */
export function takeReading({ newest, memories }: Strand, value: number): Reading {
  const range = rangeOf(memories.value);
  const centre = newest.mean(Math.min(CENTRE_POINTS, newest.size));
  const noise = memories.spread.past.quantile(0.5);
  const rank = memories.value.past.rank(value);
  newest.push(value);
  const streams = deriveStreams(newest, range.core);
  const bands = mapStreams((stream) => expectedBand(memories[stream]));
  const novelties = mapStreams((stream): Novelty | undefined => {
    const memory = memories[stream];
    const derived = streams[stream];
    if (memory === undefined || derived === undefined) return undefined;
    return takeNovelty(memory, derived, rangeFloor(stream, range));
  });
  return {
    streams,
    bands,
    fresh: weigh(mapStreams((stream) => novelties[stream]?.fresh ?? 0)),
    lasting: weigh(mapStreams((stream) => novelties[stream]?.lasting ?? 0)),
    rank,
    core: range.core,
    centre,
    noise,
  };
}

/** The rows that the forest is asked about: what is new at all, and what is new against the settled past. */
export function rowsOf({ fresh, lasting }: Reading): {
  readonly fresh: number[];
  readonly lasting: number[];
} {
  return { fresh: featureRow(fresh), lasting: featureRow(lasting) };
}

function mapStreams<T>(of: (stream: BaseStream) => T): Record<BaseStream, T> {
  const [value, level, shift, spread, ratio, trend] = BASE_STREAMS.map(of) as [T, T, T, T, T, T];
  return { value, level, shift, spread, ratio, trend };
}

function rangeOf(memory: NoveltyMemory): PastRange {
  const { past } = memory;
  const { min, max } = extremesOf(memory);
  if (Number.isNaN(min)) return { core: 1e-12, range: 1e-12 };
  const settled = past.size > 0;
  const core = Math.max(
    settled ? past.quantile(0.99) - past.quantile(0.01) : max - min,
    1e-9 * Math.abs(settled ? past.quantile(0.5) : min),
    1e-12,
  );
  return { core, range: Math.max(max - min, core) };
}
