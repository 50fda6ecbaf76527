import { createSeriesState, pointsOf, type SeriesState } from "./score.ts";

/** Raised whenever the meaning of a byte changes: what was kept under another number is not read. */
const LAYOUT = 2;
/** A younger series' history can be asked for again as a whole. */
const KEPT_FROM_POINTS = 10_080;
/** Of one metric, between opening and publishing (33 kB each): when thousands break at once, the first ones do. */
const KEPT_MAX = 64;

/** Where a state is copied to before each point: nobody knows yet whether it opens something. */
let scratch = new Float64Array(1);

/** What the scorer knew of a metric's series just before their episodes opened, for as long as nobody else keeps it. */
export class Memories {
  readonly #kept = new Map<string, Uint8Array>();
  #noted = false;

  /** To be called before a point of a quiet series is scored. */
  note(state: SeriesState): void {
    this.#noted = pointsOf(state) >= KEPT_FROM_POINTS;
    if (!this.#noted) return;
    const doubles = new Float64Array(state);
    if (scratch.length !== doubles.length + 1) scratch = new Float64Array(doubles.length + 1);
    scratch[0] = LAYOUT;
    scratch.set(doubles, 1);
  }

  /** The point that came after `note` has opened an episode of this series. */
  keep(series: string): void {
    if (!this.#noted || this.#kept.size >= KEPT_MAX) return;
    this.#kept.set(series, new Uint8Array(scratch.slice().buffer));
  }

  /** Gives it away; undefined when there is none. */
  take(series: string): Uint8Array | undefined {
    const kept = this.#kept.get(series);
    this.#kept.delete(series);
    return kept;
  }
}

/** The state that was kept as these bytes; undefined when another version of the program did. */
export function stateOf(memory: Uint8Array): SeriesState | undefined {
  const state = createSeriesState();
  const numbers = new Float64Array(new Uint8Array(memory).buffer, 0, memory.length >>> 3);
  if (memory.length !== state.byteLength + 8 || numbers[0] !== LAYOUT) return undefined;
  new Float64Array(state).set(numbers.subarray(1));
  return state;
}
