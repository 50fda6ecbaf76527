import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { isUnavailable } from "../lib/postgres.ts";
import type { FeatureRow, FeatureTable } from "./types/store.ts";

/** Rows that wait for the database at most (about 20 MB); then the oldest are dropped and counted. */
const WAITING_ROWS_MAX = 100_000;
/** Rows of one COPY: far below the statement timeout. */
const BATCH_ROWS = 5_000;
const FLUSH_EVERY_MS = 5_000;
const DAY_MS = 24 * 3_600_000;
const RETAIN_EVERY_MS = 3_600_000;

export interface FeatureLogDeps {
  readonly table: FeatureTable;
  readonly retentionDays: number;
  readonly metrics: { featureRows(result: "written" | "dropped", rows: number): void };
  readonly log: Log;
  readonly clock: Clock;
  readonly waitingMax?: number;
}

/** Scored points on their way to `aiops_features`. Scoring never waits for it: rows queue up, bounded, while the database is down. */
export class FeatureLog {
  readonly #deps: FeatureLogDeps;
  readonly #stopping = new AbortController();
  #waiting: FeatureRow[] = [];
  #running: Promise<void> | undefined;
  #down = false;
  #retainedAt = -Infinity;

  constructor(deps: FeatureLogDeps) {
    this.#deps = deps;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  add(row: FeatureRow): void {
    this.#waiting.push(row);
    const { waitingMax = WAITING_ROWS_MAX, metrics } = this.#deps;
    if (this.#waiting.length <= waitingMax) return;
    // A tenth at once: shifting an array of this size for each row would cost more than the row.
    const lost = this.#waiting.splice(0, Math.max(1, Math.floor(waitingMax / 10)));
    metrics.featureRows("dropped", lost.length);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Writes what it can, once. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.flush();
  }

  /** Writes all that waits, batch by batch, until the database does not answer. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, BATCH_ROWS);
      const verdict = await this.#write(batch);
      if (verdict === "unavailable") return;
      // Rows may have been dropped from the front meanwhile: those that are still there are taken out.
      const done = new Set(batch);
      this.#waiting = this.#waiting.filter((row) => !done.has(row));
      this.#deps.metrics.featureRows(verdict, batch.length);
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.flush();
      await this.#retain();
      await this.#deps.clock.sleep(FLUSH_EVERY_MS, signal);
    }
  }

  async #write(batch: readonly FeatureRow[]): Promise<"written" | "dropped" | "unavailable"> {
    const { table, log } = this.#deps;
    try {
      await table.write(batch);
      if (this.#down) log.info("feature rows are written again");
      this.#down = false;
      return "written";
    } catch (error) {
      if (!isUnavailable(error)) {
        log.error("feature rows refused by the database", { rows: batch.length, error });
        return "dropped";
      }
      if (!this.#down) log.warn("feature rows wait for the database", { error });
      this.#down = true;
      return "unavailable";
    }
  }

  async #retain(): Promise<void> {
    const { table, retentionDays, clock, log } = this.#deps;
    const now = clock.now().getTime();
    if (this.#down || now - this.#retainedAt < RETAIN_EVERY_MS) return;
    try {
      const dropped = await table.dropBefore(new Date(now - retentionDays * DAY_MS));
      this.#retainedAt = now;
      if (dropped > 0) log.info("old feature rows removed", { days: dropped });
    } catch (error) {
      log.warn("old feature rows not removed", { error });
    }
  }
}
