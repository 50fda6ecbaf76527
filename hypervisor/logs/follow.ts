import { writeCursor, type Cursor } from "./cursor.ts";
import { cut, idOf, TOPS_MAX, type Feed, type FeedLine, type Mark } from "./feed.ts";
import { matcherOf } from "./logql.ts";
import type { LogFilter, LogLine, LogStore } from "./types.ts";

const BATCH_LINES = 200;
const BATCH_CHARACTERS = 128 * 1024;
const PAGE_LINES = 2_000;
/** How far back the newest lines are looked for. */
const LOOK_BACK_NS = 24n * 3_600_000_000_000n;

export interface FollowRequest extends LogFilter {
  readonly service: string;
  /** After the last message that was received. */
  readonly cursor?: Cursor | undefined;
  /** Without a cursor: so many of the newest lines first. */
  readonly tail: number;
  readonly signal: AbortSignal;
}

/** What a live client gets. Who comes back with the last cursor they got loses no line and gets none twice. */
export type LogMessage =
  | { readonly type: "lines"; readonly lines: readonly LogLine[]; readonly cursor: string }
  /** All that was there has been told; what comes now is new. */
  | { readonly type: "ready"; readonly cursor: string };

/** The reader was slower than the log for longer than the ring holds. Coming back with the cursor reads on in the store. */
export class FellBehind extends Error {
  override readonly name = "FellBehind";
}

/** @throws FellBehind, and HttpProblem when the store does not answer */
export async function* follow(
  feed: Feed,
  store: LogStore,
  request: FollowRequest,
): AsyncGenerator<LogMessage> {
  const { cursor, signal } = request;
  const matches = matcherOf(request);
  let next: number;
  let mark: Mark;
  if (cursor !== undefined && isInRing(feed, cursor)) {
    ({ next } = cursor);
    mark = cursor;
  } else {
    // This feed may not have read so far yet as another replica's: what the client has would come as new.
    if (cursor !== undefined) await feed.refreshed(signal);
    // One look: what is below the floor stays in the store, and whatever is taken from now on is in the ring.
    const { floor, recent, ...point } = feed.join();
    ({ next } = point);
    mark = feed.mark();
    const fresh = recent.filter((line) => matches(line.text) && isAfter(line, cursor));
    const joining = { ...request, floor };
    if (cursor === undefined) yield* newest(feed, store, { joining, fresh });
    else yield* missed(feed, store, { joining, fresh, cursor });
  }
  yield { type: "ready", cursor: writeCursor({ epoch: feed.epoch, next, ...mark }) };
  while (!signal.aborted) {
    const batch = feed.ring.from(next, BATCH_LINES);
    if (batch === undefined) throw new FellBehind("the log was faster than the connection");
    next += batch.length;
    if (batch.length === 0) await feed.changed(signal);
    else
      yield* ringLines(
        feed,
        batch.filter(({ text }) => matches(text)),
      );
  }
}

function isInRing({ epoch, ring }: Feed, cursor: Cursor): boolean {
  return cursor.epoch === epoch && cursor.next >= ring.oldest && cursor.next <= ring.next;
}

function isAfter(line: Pick<FeedLine, "at" | "id">, cursor: Mark | undefined): boolean {
  if (cursor === undefined || line.at > cursor.high) return true;
  return line.at === cursor.high && !cursor.tops.includes(line.id);
}

interface Joining extends FollowRequest {
  /** Lines of this time and later come from the feed. */
  readonly floor: bigint;
}

/** The newest lines for somebody who comes for the first time. */
async function* newest(
  feed: Feed,
  store: LogStore,
  { joining, fresh }: { readonly joining: Joining; readonly fresh: readonly FeedLine[] },
): AsyncGenerator<LogMessage> {
  const { tail, floor, signal } = joining;
  const wanted = tail - fresh.length;
  if (wanted > 0) {
    const from = floor - LOOK_BACK_NS;
    const range = { ...joining, from, to: floor, limit: wanted, direction: "backward" } as const;
    yield* storedLines(feed, [...(await store.read(range, signal))].reverse());
  }
  if (tail > 0) yield* ringLines(feed, fresh.slice(-tail));
}

/** What came while somebody was away for longer than the ring holds, or was at another replica. */
async function* missed(
  feed: Feed,
  store: LogStore,
  {
    joining,
    fresh,
    cursor,
  }: { readonly joining: Joining; readonly fresh: readonly FeedLine[]; readonly cursor: Cursor },
): AsyncGenerator<LogMessage> {
  const { floor, signal } = joining;
  let mark: Mark = cursor;
  while (mark.high < floor && !signal.aborted) {
    const limit = PAGE_LINES + mark.tops.length;
    const range = { ...joining, from: mark.high, to: floor, limit, direction: "forward" } as const;
    const page = await store.read(range, signal);
    const known = mark;
    const lines = page.filter((line) => isAfter({ at: line.at, id: idOf(line) }, known));
    yield* storedLines(feed, lines, known);
    const last = lines.at(-1);
    if (page.length < limit) break;
    mark = last === undefined ? { high: mark.high + 1n, tops: [] } : markAfter(lines, known);
  }
  yield* ringLines(feed, fresh);
}

function* storedLines(
  { epoch }: Feed,
  lines: readonly LogLine[],
  before: Mark = { high: 0n, tops: [] },
): Generator<LogMessage> {
  let mark = before;
  for (const chunk of chunksOf(lines)) {
    mark = markAfter(chunk, mark);
    const shown = chunk.map((line) => ({ ...line, text: cut(line.text) }));
    yield { type: "lines", lines: shown, cursor: writeCursor({ epoch, next: -1, ...mark }) };
  }
}

/** @param lines in the order of their times */
function markAfter(lines: readonly LogLine[], before: Mark): Mark {
  const high = lines.at(-1)?.at ?? before.high;
  const tops = lines.filter(({ at }) => at === high).map(idOf);
  return { high, tops: [...(high === before.high ? before.tops : []), ...tops].slice(-TOPS_MAX) };
}

function* ringLines({ epoch }: Feed, lines: readonly FeedLine[]): Generator<LogMessage> {
  for (const chunk of chunksOf(lines)) {
    const last = chunk.at(-1);
    if (last === undefined) continue;
    const cursor = writeCursor({ epoch, next: last.number + 1, ...last.mark });
    yield { type: "lines", lines: chunk, cursor };
  }
}

/** Messages of a bounded size. */
function* chunksOf<L extends LogLine>(lines: readonly L[]): Generator<readonly L[]> {
  let chunk: L[] = [];
  let characters = 0;
  for (const line of lines) {
    chunk.push(line);
    characters += line.text.length;
    if (chunk.length < BATCH_LINES && characters < BATCH_CHARACTERS) continue;
    yield chunk;
    [chunk, characters] = [[], 0];
  }
  if (chunk.length > 0) yield chunk;
}
