import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../lib/postgres.ts";

/** What a process holds, as it says itself in /metrics. */
export interface Measured {
  readonly handles: number;
  readonly bytes: number;
}

export async function measure(url: string): Promise<Measured> {
  return {
    handles: await metricOf(url, "process_open_fds"),
    bytes: await metricOf(url, "process_resident_memory_bytes"),
  };
}

/** The first value of that name; NaN when there is none. */
export async function metricOf(url: string, name: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "m").exec(metrics)?.[1]);
}

/** Pools begin small and grow to this under load; they may stay so. */
const POOLS_MAX = 10 + 4 + 4;
const MORE_ALLOWED = 1.2;
/** V8 keeps what it once took; this is the bound for a process in an outage. */
const MEMORY_MAX_BYTES = 300 * 1024 * 1024;

/** Senders' idle connections are kept for some seconds, in case they send again. */
const IDLE_MS = 15_000;

const isBack = (now: Measured, before: Measured) =>
  now.handles <= before.handles * MORE_ALLOWED + POOLS_MAX;

async function settled(url: string, before: Measured): Promise<Measured> {
  const deadline = performance.now() + IDLE_MS;
  for (;;) {
    const now = await measure(url);
    if (isBack(now, before) || performance.now() > deadline) return now;
    await sleep(500);
  }
}

/** 10: no connection is left behind (the server ends an idle transaction after 30 s), and no process holds more than before. */
export async function processProblems(
  database: Database,
  processes: readonly { readonly url: string; readonly before: Measured }[],
): Promise<string[]> {
  const { rows } = await database.query<{ name: string; state: string }>(
    `SELECT application_name AS name, state FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'fettle%'
        AND state LIKE 'idle in transaction%' AND state_change < now() - interval '35 seconds'`,
  );
  const problems = rows.map(({ name, state }) => `a connection of ${name} is ${state}`);
  for (const { url, before } of processes) {
    const now = await settled(url, before);
    if (!isBack(now, before))
      problems.push(`${now.handles} open handles, before ${before.handles}`);
    if (!(now.bytes <= Math.max(MEMORY_MAX_BYTES, before.bytes * MORE_ALLOWED)))
      problems.push(`${now.bytes} bytes of memory, before ${before.bytes}`);
  }
  return problems;
}
