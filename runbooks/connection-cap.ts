import type { ConnectionCap } from "../lib/connection-cap.ts";
import type { Log } from "../lib/log.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

/** Of the 1,000 that there are; Alertmanager and Slack need a few each. */
const CONNECTIONS_PER_ADDRESS = 256;
/** Whoever floods us is not to flood the log as well. */
const TELL_EVERY_MS = 60_000;

interface CapDeps {
  readonly proxies: TrustedProxies;
  readonly metrics: { readonly connectionRefused: () => void };
  readonly log: Log;
  readonly max?: number;
  /** Milliseconds of a clock that nobody sets. */
  readonly elapsedMs?: () => number;
}

/** How many connections one sender may hold. Each that is refused is counted; the log hears of it once a minute. */
export function connectionCap({
  proxies,
  metrics,
  log,
  max = CONNECTIONS_PER_ADDRESS,
  elapsedMs = () => performance.now(),
}: CapDeps): ConnectionCap {
  let toldAt = -Infinity;
  let untold = 0;
  return {
    max,
    exempt: (address) => proxies.includes(address),
    refused: (address) => {
      metrics.connectionRefused();
      untold += 1;
      const now = elapsedMs();
      if (now - toldAt < TELL_EVERY_MS) return;
      log.warn("an address holds too many connections: more of them are refused", {
        address,
        max,
        refused: untold,
      });
      toldAt = now;
      untold = 0;
    },
  };
}
