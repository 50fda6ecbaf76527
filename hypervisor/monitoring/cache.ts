import type { Clock } from "../../lib/clock.ts";

export interface CacheOptions {
  readonly ttlMs: number;
  readonly entriesMax: number;
  /** Of all answers together, in about as many bytes of memory; one alone may have an eighth of it. */
  readonly weightMax: number;
  readonly clock: Pick<Clock, "now">;
}

/** Gives the answer that is there, or makes it: once for all who ask meanwhile. A failure is not kept. */
export type Cached = <T>(key: string, make: () => Promise<T>) => Promise<T>;

interface Entry {
  readonly answer: Promise<unknown>;
  until: number;
  weight: number;
}

const SHARE_OF_ONE = 8;

/** A small cache: dashboards of many people ask the same every few seconds. */
export function createCache({ ttlMs, entriesMax, weightMax, clock }: CacheOptions): Cached {
  const entries = new Map<string, Entry>();
  const dropOld = (now: number): void => {
    for (const [key, { until }] of entries) if (until <= now) entries.delete(key);
  };
  const dropSurplus = (): void => {
    let weight = [...entries.values()].reduce((sum, each) => sum + each.weight, 0);
    for (const [key, entry] of entries) {
      if (entries.size <= entriesMax && weight <= weightMax) return;
      entries.delete(key);
      weight -= entry.weight;
    }
  };
  return async <T>(key: string, make: () => Promise<T>): Promise<T> => {
    dropOld(clock.now().getTime());
    const found = entries.get(key);
    if (found !== undefined) return found.answer as Promise<T>;
    const answer = make();
    const entry: Entry = { answer, until: Infinity, weight: 0 };
    entries.set(key, entry);
    dropSurplus();
    const forget = (): void => {
      if (entries.get(key) === entry) entries.delete(key);
    };
    try {
      entry.weight = weigh(await answer, weightMax / SHARE_OF_ONE);
      entry.until = clock.now().getTime() + ttlMs;
      if (entry.weight > weightMax / SHARE_OF_ONE) forget();
      dropSurplus();
    } catch {
      forget();
    }
    return answer;
  };
}

/** What an object, an array, a number or the head of a text takes, about (V8). */
const NODE_BYTES = 48;

/** About how much memory a JSON value takes; no longer looked at when it is more than this. */
function weigh(value: unknown, max: number): number {
  let weight = 0;
  const rest: unknown[] = [value];
  while (rest.length > 0 && weight <= max) {
    const each = rest.pop();
    weight += NODE_BYTES;
    if (typeof each === "string") weight += each.length;
    if (typeof each !== "object" || each === null) continue;
    // One after the other: an answer may have more members than a call may have arguments.
    for (const member of Object.values(each) as unknown[]) rest.push(member);
    if (!Array.isArray(each)) weight += Object.keys(each).length * NODE_BYTES;
  }
  return weight;
}
