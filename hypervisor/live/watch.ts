import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { explain, type Permission } from "../permissions.ts";
import type { Principal } from "../types.ts";
import type { Standing } from "./standing.ts";

/** Twice within the 60 s in which a logout must close everything. */
const LOOK_MS = 25_000;
/** Without the database nobody can be known to be still allowed: so long it is waited for. */
const UNKNOWN_MS_MAX = 55_000;
const CONNECTIONS_MAX = 2_000;
const OF_ONE_PERSON_MAX = 200;

/** Why a connection ends whose token has. */
export const EXPIRED = "the token has expired";

export interface Watched {
  readonly principal: Principal;
  readonly permission: Permission;
  /** The container's project, which must still be theirs. */
  readonly project?: string | undefined;
}

/** Why a connection ends; the code is a WebSocket's. */
type End = (code: number, reason: string) => void;

export interface Watch {
  /** @throws HttpProblem 503 or 429 when there are too many */
  readonly admit: (principal: Principal) => void;
  /** @returns what to call when the connection has ended */
  readonly add: (watched: Watched, end: End) => () => void;
  readonly size: () => number;
  readonly stop: () => Promise<void>;
}

export interface WatchDeps {
  readonly standing: Standing;
  readonly clock: Clock;
  readonly log: Log;
  readonly lookMs?: number;
}

interface Entry {
  readonly watched: Watched;
  readonly end: End;
}

/** Ends connections whose owner has signed out, was disabled or may no longer do it. */
export function createWatch(deps: WatchDeps): Watch {
  const { clock, log, lookMs = LOOK_MS } = deps;
  const entries = new Set<Entry>();
  const stopping = new AbortController();
  let sure = clock.now().getTime();
  const looking = (async () => {
    for (;;) {
      await clock.sleep(lookMs, stopping.signal);
      if (stopping.signal.aborted) return;
      try {
        await look(entries, deps.standing);
        sure = clock.now().getTime();
      } catch (error) {
        log.warn("open connections not checked", { error, connections: entries.size });
        if (clock.now().getTime() - sure < UNKNOWN_MS_MAX - lookMs) continue;
        for (const { end } of [...entries]) end(1013, "nobody can tell whether you are signed in");
      }
    }
  })();
  return {
    admit: (principal) => {
      if (stopping.signal.aborted || entries.size >= CONNECTIONS_MAX)
        throw new HttpProblem(503, "Temporarily unavailable", "Too many live connections.", {
          "Retry-After": "10",
        });
      const key = keyOf(principal);
      const own = [...entries].filter(({ watched }) => keyOf(watched.principal) === key).length;
      if (own >= OF_ONE_PERSON_MAX) {
        const detail = `One caller may have ${OF_ONE_PERSON_MAX} live connections.`;
        throw new HttpProblem(429, "Too many requests", detail, { "Retry-After": "10" });
      }
    },
    add: (watched, end) => {
      const entry = { watched, end };
      const forgotten = new AbortController();
      entries.add(entry);
      void endInTime(entry, clock, forgotten.signal);
      return () => {
        entries.delete(entry);
        forgotten.abort();
      };
    },
    size: () => entries.size,
    stop: async () => {
      stopping.abort();
      for (const { end } of [...entries]) end(1001, "the service stops; come back");
      await looking;
    },
  };
}

/** Node's timers take no longer than 24 days. */
const SLEEP_MS_MAX = 86_400_000;

/** What an identity provider's token has opened ends with it. */
async function endInTime(
  { watched, end }: Entry,
  clock: Clock,
  forgotten: AbortSignal,
): Promise<void> {
  const { expiresAt } = watched.principal;
  if (expiresAt === undefined) return;
  const left = () => Math.max(0, expiresAt.getTime() - clock.now().getTime());
  do {
    await clock.sleep(Math.min(left(), SLEEP_MS_MAX), forgotten);
    if (forgotten.aborted) return;
  } while (left() > 0);
  end(4401, EXPIRED);
}

function keyOf({ via, name, token }: Principal): string {
  return `${via}:${token ?? name}`;
}

/** Each login is looked up once, however many connections it has. */
async function look(entries: ReadonlySet<Entry>, standing: Standing): Promise<void> {
  const now = new Map<string, Principal | undefined>();
  for (const { watched, end } of [...entries]) {
    const { principal, permission, project } = watched;
    const { via, name, session, token, subject } = principal;
    const key = JSON.stringify([via, name, session, token, subject]);
    if (!now.has(key)) now.set(key, await standing(principal));
    const current = now.get(key);
    if (current === undefined) end(4401, "signed out");
    else if (!explain(current, permission).allowed || !reaches(current, project))
      end(4403, `no longer permitted: ${permission}`);
  }
}

function reaches({ projects }: Principal, project: string | undefined): boolean {
  return project === undefined || projects === "all" || projects.has(project);
}
