import type { Named } from "../types.ts";
import { LxdError, type LxdClient } from "./client.ts";
import { placeOf } from "./containers.ts";

/** As much as LXD itself keeps of a console. */
const HELD_BYTES_MAX = 128 * 1024;
/** The container that was looked at longest ago is forgotten. */
const CONTAINERS_MAX = 200;
const PULL_TIMEOUT_MS = 10_000;

interface Console {
  held: Buffer;
  /** Of all bytes that ever came, those before `held`. */
  dropped: number;
  pulling: Promise<void> | undefined;
}

/** What is known of a console: bytes `from` on, counted from the first that ever came. */
interface Excerpt {
  readonly from: number;
  readonly bytes: Buffer;
}

export interface Consoles {
  /** With what has come since the last look. @param id of the container, so that one made anew begins anew */
  look(place: Named, id: string): Promise<Excerpt>;
  /** Without asking: LXD would tell the whole file of a stopped container again and again. */
  held(id: string): Excerpt;
}

/**
 * LXD tells each byte of a running container's console once, to whoever asks first (seen with 5.0.2: liblxc moves the read
 * address of its ring). So what was told is held here, and all readers of a console share it.
 */
export function lxdConsoles(client: LxdClient): Consoles {
  const consoles = new Map<string, Console>();
  const consoleOf = (id: string): Console => {
    const known = consoles.get(id) ?? { held: Buffer.alloc(0), dropped: 0, pulling: undefined };
    consoles.delete(id);
    consoles.set(id, known); // last in order, as it was asked for last
    const [oldest] = consoles.keys();
    if (consoles.size > CONTAINERS_MAX && oldest !== undefined) consoles.delete(oldest);
    return known;
  };
  return {
    look: async (place, id) => {
      const known = consoleOf(id);
      known.pulling ??= pull(client, place, known).finally(() => {
        known.pulling = undefined;
      });
      await known.pulling;
      return { from: known.dropped, bytes: known.held };
    },
    held: (id) => {
      const { dropped, held } = consoleOf(id);
      return { from: dropped, bytes: held };
    },
  };
}

/** What it says of a console from which nothing has come since. */
const NOTHING_NEW = /no such file/i;

/** Shared by all who wait, so no one's signal ends it. */
async function pull(client: LxdClient, place: Named, known: Console): Promise<void> {
  const { path, query } = placeOf(place);
  const signal = AbortSignal.timeout(PULL_TIMEOUT_MS);
  const request = { path: `${path}/console`, query, signal };
  const fresh = await client.bytes(request).catch((error: unknown) => {
    if (error instanceof LxdError && NOTHING_NEW.test(error.message)) return Buffer.alloc(0);
    throw error;
  });
  const all = Buffer.concat([known.held, fresh]);
  const excess = Math.max(all.length - HELD_BYTES_MAX, 0);
  known.held = all.subarray(excess);
  known.dropped += excess;
}
