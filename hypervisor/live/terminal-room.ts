import { access, constants, mkdir, statfs } from "node:fs/promises";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { HttpProblem } from "../../lib/problem.ts";

const OF_ONE_PERSON_MAX = 10;
/** Four full recordings. */
const DAY_BYTES_MAX = 256 * 1024 * 1024;
/** Below it no session begins: the database may be on the same disk. */
const FREE_SHARE_MIN = 0.1;

export interface TerminalRoomDeps {
  /** Of the recordings; undefined: there are none. */
  readonly folder: string | undefined;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
  /** How much of the folder's disk is free, 0 to 1. */
  readonly freeShare?: (folder: string) => Promise<number>;
}

/** One more terminal of a person. @throws HttpProblem 429 when they have had enough, 503 when nothing can be recorded */
export type EnterRoom = (person: string) => Promise<(recordedBytes: number) => void>;

interface Use {
  open: number;
  /** UTC, of the bytes. */
  day: string;
  bytes: number;
}

/** How many terminals people have, and how much of them is recorded in a day, so that one cannot fill the disk for all. */
export function createTerminalRoom(deps: TerminalRoomDeps): EnterRoom {
  const { folder, clock, freeShare = freeShareOf } = deps;
  const uses = new Map<string, Use>();
  const today = () => clock.now().toISOString().slice(0, "2026-01-01".length);
  const useOf = (person: string): Use => {
    const day = today();
    for (const [name, use] of uses) if (use.open === 0 && use.day !== day) uses.delete(name);
    const known = uses.get(person) ?? { open: 0, day, bytes: 0 };
    if (known.day !== day) Object.assign(known, { day, bytes: 0 });
    uses.set(person, known);
    return known;
  };
  return async (person) => {
    const use = useOf(person);
    if (use.open >= OF_ONE_PERSON_MAX)
      throw tooMany(`One person may have ${OF_ONE_PERSON_MAX} terminals.`);
    if (use.bytes >= DAY_BYTES_MAX)
      throw tooMany("What one person may have recorded in a day (256 MiB) is used up.");
    use.open += 1; // before anything is waited for: many may come at once
    try {
      if (
        folder !== undefined &&
        (await orUnwritable(freeShare(folder), deps.log)) < FREE_SHARE_MIN
      ) {
        const detail = "The disk of the recordings is nearly full.";
        throw new HttpProblem(503, "Temporarily unavailable", detail, { "Retry-After": "60" });
      }
    } catch (error) {
      use.open -= 1;
      throw error;
    }
    return (recordedBytes) => {
      const now = useOf(person);
      now.open -= 1;
      now.bytes += recordedBytes;
    };
  };
}

function tooMany(detail: string): HttpProblem {
  return new HttpProblem(429, "Too many requests", detail, { "Retry-After": "60" });
}

/** No record, no session. @throws HttpProblem 503 that says what to do */
export async function orUnwritable<T>(work: Promise<T>, log: Log): Promise<T> {
  try {
    return await work;
  } catch (error) {
    log.warn("terminal refused: the recordings cannot be written", { error });
    const detail =
      "Terminals are recorded, and the folder of the recordings cannot be written: " +
      "set HYPERVISOR_RECORDINGS_DIR to one that can, or HYPERVISOR_RECORDINGS=off.";
    throw new HttpProblem(503, "Temporarily unavailable", detail, { "Retry-After": "60" });
  }
}

async function freeShareOf(folder: string): Promise<number> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await access(folder, constants.W_OK | constants.X_OK);
  const { bavail, blocks } = await statfs(folder);
  return bavail / blocks;
}
