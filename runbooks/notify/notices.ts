import type { FanOut } from "./fan-out.ts";
import { fanOut } from "./fan-out.ts";
import { dispatchUntil, type DispatchDeps } from "./dispatch.ts";

/** How soon people hear of what happened. */
const POLL_MS = 500;
const MEASURE_EVERY_MS = 10_000;
const SWEEP_EVERY_MS = 3_600_000;

interface NoticeDeps extends DispatchDeps, FanOut {
  readonly oldest: (seconds: ReadonlyMap<string, number>) => void;
}

/** Tells the channels what the record says, until `signal` aborts: notices become letters, and each channel sends its own. */
export async function tellUntil(signal: AbortSignal, deps: NoticeDeps): Promise<void> {
  await Promise.all([
    fanOutUntil(signal, deps),
    ...deps.channels.map(async (channel) => dispatchUntil(signal, channel, deps)),
  ]);
}

async function fanOutUntil(signal: AbortSignal, deps: NoticeDeps): Promise<void> {
  const { clock, database, outbox, log } = deps;
  const last = { measured: -Infinity, swept: -Infinity };
  let down = false;
  while (!signal.aborted) {
    try {
      const now = clock.now().getTime();
      if (now - last.measured >= MEASURE_EVERY_MS) {
        last.measured = now;
        const waited = await outbox.oldest();
        deps.oldest(new Map(deps.channels.map(({ name }) => [name, waited.get(name) ?? 0])));
      }
      if (now - last.swept >= SWEEP_EVERY_MS) {
        last.swept = now;
        await outbox.sweep();
      }
      const notices = await fanOut(deps, database);
      down = false;
      if (notices > 0) continue;
    } catch (error) {
      if (!down) log.warn("notices cannot be looked up", { error });
      down = true;
    }
    await clock.sleep(POLL_MS, signal);
  }
}
