import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Queryable } from "../../lib/postgres.ts";

const POLL_MS = 1_000;
/** Proxies close what is silent; so does the other side notice a dead connection. */
const HEARTBEAT_POLLS = 15;
const WATCHERS_MAX = 256;

/** Where a run is now. */
export interface RunNow {
  readonly id: string;
  readonly state: string;
  /** Grows with every row of its record. */
  readonly version: string;
  readonly finished: boolean;
}

/** One who looks at a run. */
interface Watcher {
  readonly runId: string;
  /** After this moment nobody knows whether the person may still look. */
  readonly until: Date;
  tell(now: RunNow): void;
  beat(): void;
  /** The run has ended or is gone, the time is up, or we stop. */
  end(): void;
}

export interface RunWatch {
  /** Returns how to leave again; undefined when there are too many watchers already. */
  join(watcher: Watcher): (() => void) | undefined;
  stop(): Promise<void>;
}

interface WatchDeps {
  readonly database: Queryable;
  readonly clock: Clock;
  readonly log: Log;
}

/** One poller for all who look, however many they are: one statement a second, and none while nobody looks. */
export function openRunWatch({ database, clock, log }: WatchDeps): RunWatch {
  const watchers = new Map<Watcher, string | undefined>();
  const stopping = new AbortController();
  let polling: Promise<void> | undefined;
  let failing = false;

  const leave = (watcher: Watcher) => {
    if (watchers.delete(watcher)) watcher.end();
  };

  const poll = async (beat: boolean) => {
    const ids = [...new Set([...watchers.keys()].map(({ runId }) => runId))];
    const runs = await runsNow(ids, database);
    const now = clock.now();
    for (const [watcher, seen] of watchers) {
      const run = runs.get(watcher.runId);
      if (run !== undefined && `${run.state} ${run.version}` !== seen) {
        watcher.tell(run);
        watchers.set(watcher, `${run.state} ${run.version}`);
      } else if (beat) watcher.beat();
      if (run === undefined || run.finished || watcher.until <= now) leave(watcher);
    }
  };

  const pollUntilAlone = async () => {
    for (let polls = 1; watchers.size > 0 && !stopping.signal.aborted; polls += 1) {
      try {
        await poll(polls % HEARTBEAT_POLLS === 0);
        failing = false;
      } catch (error) {
        if (!failing) log.warn("runs that are watched cannot be looked up", { error });
        failing = true;
      }
      await clock.sleep(POLL_MS, stopping.signal);
    }
    polling = undefined;
  };

  return {
    join: (watcher) => {
      if (watchers.size >= WATCHERS_MAX || stopping.signal.aborted) return undefined;
      watchers.set(watcher, undefined);
      polling ??= pollUntilAlone();
      return () => {
        leave(watcher);
      };
    },
    stop: async () => {
      stopping.abort();
      for (const watcher of [...watchers.keys()]) leave(watcher);
      await polling;
    },
  };
}

async function runsNow(
  ids: readonly string[],
  database: Queryable,
): Promise<ReadonlyMap<string, RunNow>> {
  const { rows } = await database.query<RunNow>(
    `SELECT id, state, finished_at IS NOT NULL AS finished,
            coalesce((SELECT max(a.id) FROM runbooks_audit a WHERE a.run_id = runs.id), 0)::text AS version
       FROM runs WHERE id = ANY ($1)`,
    [ids],
  );
  return new Map(rows.map((run) => [run.id, run]));
}
