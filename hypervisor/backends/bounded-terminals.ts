import { finished } from "node:stream/promises";
import { BackendError } from "./error.ts";
import type { RawBackend, Terminal } from "./types.ts";

/** Of all people together: each holds connections to the engine for days. */
export const TERMINALS_MAX = 128;

/** Terminals of one backend, so many at a time. One more is refused: BackendError `busy`. */
export function boundedTerminals(
  terminals: RawBackend["terminals"],
  max = TERMINALS_MAX,
): RawBackend["terminals"] {
  let taken = 0;
  return {
    open: async (request, signal) => {
      if (taken >= max) {
        const why = `${max} terminals are open on this backend, which is all that it may have`;
        throw new BackendError("busy", why);
      }
      taken += 1; // before anything is waited for: many may come at once
      try {
        const terminal = await terminals.open(request, signal);
        void over(terminal).then(() => {
          taken -= 1;
        });
        return terminal;
      } catch (error) {
        taken -= 1;
        throw error;
      }
    },
  };
}

/** Both: the engine may be asked for the code after the last byte. */
async function over({ stream, exitCode }: Terminal): Promise<void> {
  await Promise.allSettled([finished(stream, { cleanup: true }), exitCode]);
}
