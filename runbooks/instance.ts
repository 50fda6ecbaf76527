import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Database, Queryable } from "../lib/postgres.ts";

const PACE_MS = 10_000;
/** Windows and expiries go by the database's clock; above this, what people read in our log misleads them. */
const WARN_MS = 30_000;
/** The age that Slack's requests and signed alerts may have. */
const SIGNATURES_FAIL_MS = 300_000;

/** A process of this service, as the other ones and people see it. */
export interface Instance {
  readonly id: string;
  readonly role: "receiver" | "executor" | "both";
  readonly host: string;
  readonly pid: number;
  readonly version: string;
}

export interface ClockCheck {
  readonly ok: boolean;
  readonly detail?: string;
}

interface InstanceDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** Our clock less the database's, in seconds. */
  readonly skewed: (seconds: number) => void;
  /** Whether the database has just taken a write. */
  readonly wrote: (done: boolean) => void;
}

/** Signs on, says every ten seconds that it lives, and signs off when `signal` aborts. */
export async function signOnUntil(
  signal: AbortSignal,
  instance: Instance,
  { onCheck, ...deps }: InstanceDeps & { readonly onCheck: (check: ClockCheck) => void },
): Promise<void> {
  const { database, clock, log, skewed, wrote } = deps;
  let known: ClockCheck = { ok: true };
  while (!signal.aborted) {
    try {
      const skewMs = await measureSkew(database, clock);
      skewed(skewMs / 1000);
      const check = clockCheck(skewMs);
      if (check.detail !== known.detail && check.detail !== undefined)
        log.warn("this machine's clock is wrong", { detail: check.detail });
      known = check;
      onCheck(check);
      await signOn(instance, skewMs, database);
      wrote(true);
    } catch (error) {
      wrote(false);
      log.warn("not signed on, will be tried again", { error });
    }
    await clock.sleep(PACE_MS, signal);
  }
  await database
    .query("DELETE FROM instances WHERE id = $1", [instance.id])
    .catch((error: unknown) => {
      log.warn("not signed off", { error });
    });
}

/** How far our clock is before the database's, in milliseconds; 0 when the round trip may explain all of it. */
async function measureSkew(database: Queryable, clock: Clock): Promise<number> {
  const before = clock.now().getTime();
  const { rows } = await database.query<{ now: Date }>("SELECT clock_timestamp() AS now");
  const after = clock.now().getTime();
  const theirs = rows[0]?.now.getTime() ?? Number.NaN;
  if (theirs >= before && theirs <= after) return 0;
  return theirs < before ? before - theirs : after - theirs;
}

function clockCheck(skewMs: number): ClockCheck {
  const size = Math.abs(skewMs);
  if (size <= WARN_MS) return { ok: true };
  // Rounded: a clock that drifts would say something new every time.
  const far = size < 60_000 ? "more than 30 s" : `${Math.round(size / 60_000)} min`;
  const where = `${far} ${skewMs > 0 ? "ahead of" : "behind"}`;
  const detail = `the clock is ${where} the database's`;
  return size <= SIGNATURES_FAIL_MS
    ? { ok: false, detail }
    : { ok: false, detail: `${detail}: Slack's clicks and signed alerts will be refused` };
}

/** Also forgets those who were killed a day ago. */
async function signOn(
  { id, role, host, pid, version }: Instance,
  skewMs: number,
  database: Queryable,
): Promise<void> {
  await database.query(
    `WITH gone AS (DELETE FROM instances WHERE seen_at < now() - interval '1 day' AND id <> $1)
     INSERT INTO instances (id, role, host, pid, version, skew_ms) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (id) DO UPDATE SET seen_at = now(), skew_ms = excluded.skew_ms`,
    [id, role, host, pid, version, Math.max(-2e9, Math.min(2e9, Math.round(skewMs)))],
  );
}
