import { systemClock } from "../../lib/clock.ts";
import { CommandFailure, EXIT } from "../exit-code.ts";

const INTERVAL_MS = 100;

/** Asks again until there is something. @throws CommandFailure that says what did not happen */
export async function waitFor<T>(
  what: string,
  seconds: number,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline)
      throw new CommandFailure(EXIT.error, `did not happen within ${seconds} s: ${what}`);
    await systemClock.sleep(INTERVAL_MS);
  }
}
