/** A source of uniform numbers in [0, 1), as Math.random. */
export type Random = () => number;

/**
 * Mulberry32: a small seeded generator (period 2^32). The same seed gives the same forest on every
 * machine; it is not for secrets.
 */
export function mulberry32(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
