import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { openModel, type Model } from "./model.ts";
import type { StoredModel } from "./types/store.ts";

/** A promotion (`fettle train`) need not be seen at once; reading 2 MB every five minutes costs nothing. */
const REFRESH_MS = 5 * 60_000;

/** The model that scores. Another one takes over when it was promoted; one that cannot be read never does. */
export interface ModelInUse {
  readonly current: () => Model | undefined;
  /** Looks once for a newer one. Never rejects. */
  readonly refresh: () => Promise<void>;
}

export interface ModelInUseDeps {
  readonly store: { newestModel(): Promise<StoredModel | undefined> } | undefined;
  readonly log: Log;
  readonly onChange: (model: Model) => void;
}

export function modelInUse(
  initial: Model | undefined,
  { store, log, onChange }: ModelInUseDeps,
): ModelInUse {
  let current = initial;
  return {
    current: () => current,
    refresh: async () => {
      try {
        const stored = await store?.newestModel();
        if (stored === undefined || stored.sha256 === current?.sha256) return;
        const next = openModel(stored);
        log.info("promoted model takes over", { sha256: next.sha256, before: current?.sha256 });
        current = next;
        onChange(next);
      } catch (error) {
        log.warn("newest model not used, the old one stays", { error });
      }
    },
  };
}

/** Looks for a newer model again and again, until the signal aborts. */
export async function followNewestModel(
  model: ModelInUse,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  for (;;) {
    await clock.sleep(REFRESH_MS, signal);
    if (signal.aborted) return;
    await model.refresh();
  }
}
