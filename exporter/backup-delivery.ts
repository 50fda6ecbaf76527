import { rm } from "node:fs/promises";
import { messageOf } from "../lib/error.ts";
import type { Destination, Parcel } from "./types.ts";

/**
 * The places that a backup goes to. One that fails gets no more of it, and what it has is taken away again; the backup goes on
 * as long as one is left.
 */
export class BackupDelivery {
  /** What each of those that are left has. */
  readonly #sent: Map<Destination, string[]>;
  readonly #failures: unknown[] = [];

  /** @param destinations at least one */
  constructor(destinations: readonly Destination[]) {
    this.#sent = new Map(destinations.map((destination) => [destination, []]));
  }

  /** Hands a file over, and deletes it here. @throws what the last place that was left said */
  async send(parcel: Parcel): Promise<void> {
    for (const [destination, sent] of this.#sent) {
      try {
        await destination.upload(parcel);
        sent.push(parcel.name);
      } catch (error) {
        this.#failures.push(error);
        await withdrawFrom(destination, sent);
        this.#sent.delete(destination);
      }
    }
    await rm(parcel.path, { force: true });
    if (this.#sent.size === 0) throw this.#failures.at(-1);
  }

  /** Takes away what was handed over, as far as the places let it go. */
  async withdraw(): Promise<void> {
    for (const [destination, sent] of this.#sent) await withdrawFrom(destination, sent);
  }

  /** Those that have every file. */
  holders(): readonly Destination[] {
    return [...this.#sent.keys()];
  }

  /** Those that have not, each with the reason. */
  failures(): readonly string[] {
    return this.#failures.map(messageOf);
  }
}

/** What stays is no backup without its manifest, and does no harm but cost. A file that was refused may be somebody else's. */
async function withdrawFrom(destination: Destination, names: readonly string[]): Promise<void> {
  for (const name of names) await destination.remove(name).catch(() => undefined);
}
