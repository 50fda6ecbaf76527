import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { createRing, type Ring } from "../live/ring.ts";
import type { LogLine, LogStore } from "./types.ts";

/** A line may come to the store so much later than it says; after that live clients do not see it. */
const LATE_NS = 10_000_000_000n;
/** Clocks of the senders may be ahead: Loki takes lines of the next ten minutes. */
const AHEAD_NS = 600_000_000_000n;
const READ_LINES = 10_000;
const READ_LINES_MIN = 50;
/** Longer lines are cut: they are shown, and one page of them must fit into memory. */
const LINE_CHARACTERS_MAX = 32_768;
/** What is remembered so as not to be taken twice; with more of it lateness is not waited for. */
const RECENT_MAX = { items: 20_000, bytes: 4 * 1024 * 1024 };
const RETRY_MS_MAX = 15_000;
const LINE_OVERHEAD_BYTES = 200;
const RING_LIMITS = { items: 20_000, bytes: 2 * 1024 * 1024 };
/** A mark stays small: with more lines of one nanosecond the first of them may come twice. */
export const TOPS_MAX = 32;

/** How far somebody has read in terms of the store: what it holds up to `high`, and of that nanosecond the lines `tops`. */
export interface Mark {
  readonly high: bigint;
  readonly tops: readonly string[];
}

export interface FeedLine extends LogLine {
  readonly id: string;
  /** In the ring. */
  readonly number: number;
  /** After this line. */
  readonly mark: Mark;
}

/** Where somebody joins: lines below `floor` are the store's business, then come `recent`, then the ring's from `next`. */
interface JoinPoint {
  readonly floor: bigint;
  readonly recent: readonly FeedLine[];
  readonly next: number;
}

/** One service's log as it grows, read once for all who watch it. */
export interface Feed {
  /** Another one after a restart, and on another replica. */
  readonly epoch: string;
  readonly ring: Ring<FeedLine>;
  readonly join: () => JoinPoint;
  readonly mark: () => Mark;
  /** Resolves with the next lines, or when `signal` aborts. */
  readonly changed: (signal: AbortSignal) => Promise<void>;
  /** Resolves after a reading that began after this was asked, or when `signal` aborts. @throws HttpProblem when that one fails */
  readonly refreshed: (signal: AbortSignal) => Promise<void>;
  /** Resolves after the first reading. @throws HttpProblem that says why there is none */
  readonly ready: Promise<undefined>;
  readonly stop: () => Promise<void>;
}

export interface FeedDeps {
  readonly store: LogStore;
  readonly clock: Clock;
  readonly pollMs: number;
}

export function openFeed(service: string, deps: FeedDeps): Feed {
  const { clock } = deps;
  const ring = createRing<FeedLine>(RING_LIMITS);
  const stopping = new AbortController();
  const state = newState(nowNs(clock));
  let change = Promise.withResolvers<undefined>();
  const first = newPromise();
  let following = newPromise();
  const take = (line: LogLine): void => {
    const taken = remember(state, line, ring.next);
    if (taken !== undefined) ring.push(taken, bytesOf(taken));
  };
  const turn = async (): Promise<number> => {
    const reading = following;
    following = newPromise();
    try {
      const before = ring.next;
      await poll(service, state, { ...deps, take, signal: stopping.signal });
      first.resolve(undefined);
      reading.resolve(undefined);
      if (ring.next > before) {
        const done = change;
        change = Promise.withResolvers();
        done.resolve(undefined);
      }
      return 0;
    } catch (error) {
      const told = error instanceof HttpProblem ? error : new Error("not read", { cause: error });
      first.reject(told);
      reading.reject(told);
      return 1;
    }
  };
  const running = (async () => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      failures = (await turn()) === 0 ? 0 : failures + 1;
      const wait = Math.min(deps.pollMs * 2 ** Math.min(failures, 10), RETRY_MS_MAX);
      await clock.sleep(wait, stopping.signal);
    }
  })();
  return {
    epoch: randomBytes(6).toString("base64url"),
    ring,
    join: () => ({ floor: state.floor, recent: [...state.recent.values()], next: ring.next }),
    mark: () => state.mark,
    changed: async (signal) => either(change.promise, signal),
    refreshed: async (signal) => either(following.promise, signal),
    ready: first.promise,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

function newPromise(): PromiseWithResolvers<undefined> {
  const made = Promise.withResolvers<undefined>();
  made.promise.catch(() => undefined); // nobody may be waiting for it
  return made;
}

interface State {
  /** What is older is never taken any more. */
  floor: bigint;
  mark: Mark;
  /** Lines to ask for at once: fewer while they are long. */
  readLines: number;
  /** By id, in the order in which they were taken. */
  readonly recent: Map<string, FeedLine>;
}

function newState(now: bigint): State {
  const floor = now - LATE_NS;
  return { floor, mark: { high: floor, tops: [] }, readLines: READ_LINES, recent: new Map() };
}

interface PollDeps extends FeedDeps {
  readonly take: (line: LogLine) => void;
  readonly signal: AbortSignal;
}

/** Everything from the floor on is read again, since lines come late; what is known is left out. */
async function poll(service: string, state: State, deps: PollDeps): Promise<void> {
  const { clock, take } = deps;
  let from = state.floor;
  for (;;) {
    const limit = state.readLines;
    const lines = await readSome({ service, from, limit }, state, deps);
    for (const line of lines) take(line);
    const last = lines.at(-1);
    if (lines.length < limit || last === undefined) break;
    forget(state, state.floor);
    from = last.at > from ? last.at : from + 1n;
  }
  const now = nowNs(clock);
  forget(state, (state.mark.high < now ? state.mark.high : now) - LATE_NS);
}

async function readSome(
  what: { readonly service: string; readonly from: bigint; readonly limit: number },
  state: State,
  { store, clock, signal }: PollDeps,
): Promise<readonly LogLine[]> {
  try {
    const to = nowNs(clock) + AHEAD_NS;
    const lines = await store.read({ ...what, to, direction: "forward" }, signal);
    state.readLines = Math.min(READ_LINES, what.limit * 2);
    return lines;
  } catch (error) {
    if (error instanceof HttpProblem && error.status === 422)
      state.readLines = Math.max(READ_LINES_MIN, Math.floor(what.limit / 2));
    throw error;
  }
}

function remember(state: State, line: LogLine, number: number): FeedLine | undefined {
  const id = idOf(line);
  if (line.at < state.floor || state.recent.has(id)) return undefined;
  const { high, tops } = state.mark;
  if (line.at > high) state.mark = { high: line.at, tops: [id] };
  else if (line.at === high) state.mark = { high, tops: [...tops, id].slice(-TOPS_MAX) };
  const taken = { ...line, text: cut(line.text), id, number, mark: state.mark };
  state.recent.set(id, taken);
  return taken;
}

export function cut(text: string): string {
  const more = text.length - LINE_CHARACTERS_MAX;
  return more > 0 ? `${text.slice(0, LINE_CHARACTERS_MAX)}… (${more} characters more)` : text;
}

function bytesOf({ text }: FeedLine): number {
  return text.length * 2 + LINE_OVERHEAD_BYTES;
}

function forget(state: State, floor: bigint): void {
  if (floor > state.floor) state.floor = floor;
  for (const [id, { at }] of state.recent) if (at < state.floor) state.recent.delete(id);
  const newestFirst = [...state.recent.values()].sort((a, b) => (a.at > b.at ? -1 : 1));
  let bytes = 0;
  const over = newestFirst.findIndex((line, index) => {
    bytes += bytesOf(line);
    return index >= RECENT_MAX.items || bytes > RECENT_MAX.bytes;
  });
  if (over < 1) return;
  state.floor = newestFirst[over - 1]?.at ?? state.floor;
  for (const [id, { at }] of state.recent) if (at < state.floor) state.recent.delete(id);
}

/** Loki itself knows a line by these three: it keeps no two that agree in all of them. */
export function idOf({ at, text, labels }: LogLine): string {
  const hash = createHash("sha256").update(`${at}\n${streamOf(labels)}\n${text}`);
  return hash.digest("base64url").slice(0, 16);
}

const streams = new WeakMap<object, string>();

function streamOf(labels: Readonly<Record<string, string>>): string {
  const known = streams.get(labels);
  if (known !== undefined) return known;
  const stream = JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  streams.set(labels, stream);
  return stream;
}

export function nowNs(clock: Pick<Clock, "now">): bigint {
  return BigInt(clock.now().getTime()) * 1_000_000n;
}

async function either(change: Promise<undefined>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const aborted = Promise.withResolvers<undefined>();
  const listener = () => {
    aborted.resolve(undefined);
  };
  signal.addEventListener("abort", listener, { once: true });
  try {
    await Promise.race([change, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", listener);
  }
}
