import type { Log } from "../lib/log.ts";
import { isUnavailable } from "../lib/postgres.ts";
import { currentTraceparent } from "../lib/tracing.ts";
import type { DetectorMetrics } from "./metrics.ts";
import type {
  Anomaly,
  AnomalyStore,
  Delivery,
  DeliveryResult,
  Progress,
  Sighting,
} from "./types.ts";

/** Writes that wait for the database at most; an hour of trouble in a noisy system stays below. */
const WAITING_WRITES_MAX = 10_000;

/** News that is in memory as well is sent from there; who finds its late row gives that sender a minute. */
const HEAD_START_MS = 60_000;

type Write = (store: AnomalyStore, headStartMs: number) => Promise<unknown>;

export interface JournalDeps {
  readonly store: AnomalyStore | undefined;
  readonly metrics: Pick<DetectorMetrics, "writeDropped">;
  readonly log: Log;
  readonly waitingMax?: number;
}

/**
 * What must be written down, in order. While the database does not answer, writes wait (bounded, then the oldest are
 * dropped and counted) and scoring goes on. Without a database every write succeeds by doing nothing.
 */
export class Journal {
  readonly #deps: JournalDeps;
  readonly #waiting: Write[] = [];
  #fault: unknown;

  constructor(deps: JournalDeps) {
    this.#deps = deps;
  }

  /** The last error of the database; undefined while it takes our writes. */
  get fault(): unknown {
    return this.#fault;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** "already_open" only when the database says so now; a write that has to wait is unstored. */
  async open(anomaly: Anomaly): Promise<"stored" | "unstored" | "already_open"> {
    let verdict: "stored" | "unstored" | "already_open" = "unstored";
    const traceparent = currentTraceparent();
    await this.#write(async (store, headStartMs) => {
      const outcome = await store.open(anomaly, { traceparent, headStartMs });
      verdict = outcome === "opened" ? "stored" : outcome;
    });
    return verdict;
  }

  async close(anomaly: Anomaly): Promise<"stored" | "unstored"> {
    let verdict: "stored" | "unstored" = "unstored";
    const traceparent = currentTraceparent();
    await this.#write(async (store, headStartMs) => {
      const outcome = await store.close(anomaly, { traceparent, headStartMs });
      if (outcome === "closed") verdict = "stored";
    });
    return verdict;
  }

  /** Writes down, after the row that may still wait, that its news has been sent from memory. */
  async settled(delivery: Delivery, result: DeliveryResult): Promise<void> {
    await this.#write(async (store) => store.settle(delivery, result));
  }

  /** Writes what waits, then how far the metrics are: after a crash nothing counts as evaluated that was not recorded. */
  async flush(progress: readonly Progress[], sightings: readonly Sighting[]): Promise<void> {
    const { store } = this.#deps;
    if (store === undefined || !(await this.#drain(store))) return;
    await this.#attempt(store, async () => store.saveProgress(progress, sightings), 0);
  }

  async #write(write: Write): Promise<void> {
    const { store } = this.#deps;
    if (store === undefined) return;
    if (this.#waiting.length === 0 && (await this.#attempt(store, write, 0))) return;
    this.#waiting.push(write);
    if (this.#waiting.length > (this.#deps.waitingMax ?? WAITING_WRITES_MAX)) {
      this.#waiting.shift();
      this.#deps.metrics.writeDropped();
    }
  }

  async #drain(store: AnomalyStore): Promise<boolean> {
    for (let write = this.#waiting[0]; write !== undefined; write = this.#waiting[0]) {
      if (!(await this.#attempt(store, write, HEAD_START_MS))) return false;
      if (this.#waiting[0] === write) this.#waiting.shift();
    }
    return true;
  }

  /** False when the database does not answer; a write that it refuses for good is logged and counts as done. */
  async #attempt(store: AnomalyStore, write: Write, headStartMs: number): Promise<boolean> {
    try {
      await write(store, headStartMs);
      if (this.#fault !== undefined) this.#deps.log.info("database answers again");
      this.#fault = undefined;
      return true;
    } catch (error) {
      if (!isUnavailable(error)) {
        this.#deps.log.error("database refused a write", { error });
        this.#deps.metrics.writeDropped();
        return true;
      }
      if (this.#fault === undefined) this.#deps.log.warn("database does not answer", { error });
      this.#fault = error;
      return false;
    }
  }
}
