import type { Clock } from "../../lib/clock.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { Principal } from "../types.ts";
import { openFeed, type Feed, type FeedDeps } from "./feed.ts";

/** Each holds at most 6 MiB of lines (feed.ts). Nobody takes them all away from the others. */
const FEEDS_MAX = { all: 100, organization: 50, caller: 20 };
/** Who was cut off comes back meanwhile, and finds the ring as it was. */
const LINGER_MS = 30_000;
const READY_MS = 12_000;

/** Who watches. Undefined: one of the platform's people. */
type Watcher = Pick<Principal, "name" | "organization">;

export interface Feeds {
  /** The service's feed, opened when nobody has it yet; give it back once. @throws HttpProblem */
  take(
    service: string,
    watcher: Watcher,
  ): Promise<{ readonly feed: Feed; readonly release: () => void }>;
  stop(): Promise<void>;
}

interface Entry {
  readonly feed: Feed;
  /** Those who have it now; while nobody has it, those for whom it is still kept. */
  readonly watchers: Set<Watcher>;
  takers: number;
  closing: AbortController | undefined;
}

/** One feed per service that somebody watches. */
export function createFeeds(deps: FeedDeps): Feeds {
  const { clock } = deps;
  const entries = new Map<string, Entry>();
  const drop = async (service: string, entry: Entry): Promise<void> => {
    if (entries.get(service) === entry) entries.delete(service);
    await entry.feed.stop();
  };
  const release = (service: string, entry: Entry, watcher: Watcher): void => {
    entry.takers -= 1;
    if (entry.takers > 0) {
      entry.watchers.delete(watcher);
      return;
    }
    const closing = new AbortController();
    entry.closing = closing;
    void clock.sleep(LINGER_MS, closing.signal).then(async () => {
      if (!closing.signal.aborted) await drop(service, entry);
    });
  };
  return {
    take: async (service, { name, organization }) => {
      const watcher = { name, organization }; // one of its own: somebody may watch a service twice
      refuseTooMany(service, watcher, entries);
      const entry = entries.get(service) ?? open(service, entries, deps);
      if (entry.takers === 0) entry.watchers.clear();
      entry.watchers.add(watcher);
      entry.takers += 1;
      entry.closing?.abort();
      let given = true;
      const giveBack = (): void => {
        if (given) release(service, entry, watcher);
        given = false;
      };
      try {
        await inTime(entry.feed.ready, clock);
      } catch (error) {
        giveBack();
        if (entry.takers === 0) await drop(service, entry); // another try is a new feed
        throw error;
      }
      return { feed: entry.feed, release: giveBack };
    },
    stop: async () => {
      const all = [...entries.entries()];
      for (const [, { closing }] of all) closing?.abort();
      await Promise.all(all.map(async ([service, entry]) => drop(service, entry)));
    },
  };
}

function refuseTooMany(
  service: string,
  { name, organization }: Watcher,
  entries: ReadonlyMap<string, Entry>,
): void {
  const countOf = (isTheirs: (watcher: Watcher) => boolean) =>
    [...entries].filter(
      ([other, { watchers }]) => other !== service && [...watchers].some(isTheirs),
    ).length;
  const full = (who: "caller" | "organization") => {
    const detail = `One ${who} may watch the logs of ${FEEDS_MAX[who]} services at a time.`;
    return new HttpProblem(429, "Too many requests", detail, { "Retry-After": "30" });
  };
  if (countOf((each) => each.name === name) >= FEEDS_MAX.caller) throw full("caller");
  if (organization === undefined) return;
  if (countOf((each) => each.organization === organization) >= FEEDS_MAX.organization)
    throw full("organization");
}

function open(service: string, entries: Map<string, Entry>, deps: FeedDeps): Entry {
  if (entries.size >= FEEDS_MAX.all) {
    const detail = `${FEEDS_MAX.all} services' logs are being watched; that is the most.`;
    throw new HttpProblem(503, "Temporarily unavailable", detail, { "Retry-After": "30" });
  }
  const feed = openFeed(service, deps);
  const entry = { feed, watchers: new Set<Watcher>(), takers: 0, closing: undefined };
  entries.set(service, entry);
  return entry;
}

async function inTime(ready: Promise<undefined>, clock: Clock): Promise<void> {
  const done = new AbortController();
  const late = clock.sleep(READY_MS, done.signal).then(() => {
    if (!done.signal.aborted)
      throw new HttpProblem(504, "Gateway timeout", "The log is not there.");
  });
  try {
    await Promise.race([ready, late]);
  } finally {
    done.abort();
  }
}
