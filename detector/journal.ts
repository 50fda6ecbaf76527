import type { Log } from "../lib/log.ts";
import { isUnavailable } from "../lib/postgres.ts";
import { currentTraceparent } from "../lib/tracing.ts";
import type { DetectorMetrics } from "./metrics.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Delivery, DeliveryResult, Mailing } from "./types/delivery.ts";
import type { HeldGroup, Tenure } from "./types/groups.ts";
import type { AnomalyStore, Progress, Sighting } from "./types/store.ts";

/** Writes that wait for the database at most; an hour of trouble in a noisy system stays below. */
const WAITING_WRITES_MAX = 10_000;

/** News that is in memory as well is sent from there; who finds its late row gives that sender a minute. */
const HEAD_START_MS = 60_000;

/** The store for writes that name the epoch of the tenure they belong to; "not_owner" when that is over. */
export interface JournalStore extends Pick<AnomalyStore, "settle"> {
  open(
    anomaly: Anomaly,
    mailing: Mailing,
    epoch: string,
  ): Promise<"opened" | "already_open" | "not_owner">;
  close(
    anomaly: Anomaly,
    mailing: Mailing,
    epoch: string,
  ): Promise<"closed" | "unknown" | "not_owner">;
  /** Leaves out what belongs to a tenure that is over. */
  saveProgress(
    progress: readonly (Progress & Pick<HeldGroup, "epoch">)[],
    sightings: readonly SeenAnomaly[],
  ): Promise<void>;
}

/** An open anomaly, last seen at a time, with the metric that it belongs to. */
export interface SeenAnomaly extends Sighting {
  readonly metric: string;
}

type Write = (store: JournalStore, headStartMs: number, epoch: string) => Promise<unknown>;

interface WaitingWrite {
  readonly write: Write;
  readonly tenure: Tenure;
  /** It says what has happened, whoever owns the group by now. */
  readonly always: boolean;
}

export interface JournalDeps {
  readonly store: JournalStore | undefined;
  /** Who owns what; when it is undefined, nobody else writes. */
  readonly leases?: {
    tenureOf(metric: string): Tenure | undefined;
    confirm(): Promise<boolean>;
  };
  readonly metrics: Pick<DetectorMetrics, "writeDropped">;
  readonly log: Log;
  readonly waitingMax?: number;
}

/**
 * What must be written down, in order. While the database does not answer, writes wait (bounded, then the oldest are
 * dropped and counted) and scoring goes on. Without a database every write succeeds by doing nothing. What belongs to a
 * tenure that is over is neither written nor told: the next owner does both.
 */
export class Journal {
  readonly #deps: JournalDeps;
  readonly #waiting: WaitingWrite[] = [];
  #flushing: Promise<void> = Promise.resolve();
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

  /** Whether all that was said about a metric so far, its progress included, is in the database. */
  isWritten(metric: string): boolean {
    const waits = this.#waiting.some(({ tenure }) => tenure.metric === metric);
    return this.#fault === undefined && !waits;
  }

  /**
   * "already_open" only when the database says so now, or when the group is another replica's, which tells it; a write
   * that has to wait is unstored.
   */
  async open(anomaly: Anomaly): Promise<"stored" | "unstored" | "already_open"> {
    let verdict: "stored" | "unstored" | "already_open" = "unstored";
    const traceparent = currentTraceparent();
    const fate = await this.#write(anomaly.metric, async (store, headStartMs, epoch) => {
      const outcome = await store.open(anomaly, { traceparent, headStartMs }, epoch);
      verdict = outcome === "opened" ? "stored" : "already_open";
    });
    return fate === "not_owner" ? "already_open" : verdict;
  }

  /** "stored" also when the group is another replica's: then there is nothing left to do here. */
  async close(anomaly: Anomaly): Promise<"stored" | "unstored"> {
    let verdict: "stored" | "unstored" = "unstored";
    const traceparent = currentTraceparent();
    const fate = await this.#write(anomaly.metric, async (store, headStartMs, epoch) => {
      const outcome = await store.close(anomaly, { traceparent, headStartMs }, epoch);
      if (outcome !== "unknown") verdict = "stored";
    });
    return fate === "not_owner" ? "stored" : verdict;
  }

  /** Writes down, after the row that may still wait, that its news has been sent from memory. */
  async settled(delivery: Delivery, result: DeliveryResult): Promise<void> {
    const write: Write = async (store) => store.settle(delivery, result);
    await this.#write(delivery.anomaly.metric, write, true);
  }

  /** Writes what waits, then how far the metrics are: after a crash nothing counts as evaluated that was not recorded. */
  async flush(progress: readonly Progress[], sightings: readonly SeenAnomaly[]): Promise<void> {
    this.#flushing = this.#flushing.then(async () => this.#flush(progress, sightings));
    await this.#flushing;
  }

  async #flush(progress: readonly Progress[], sightings: readonly SeenAnomaly[]): Promise<void> {
    const { store } = this.#deps;
    if (store === undefined || !(await this.#drain(store))) return;
    const ours = progress.flatMap((one) => {
      const tenure = this.#tenureOf(one.name);
      const late = this.#waiting.some((waiting) => waiting.tenure === tenure);
      if (tenure?.epoch === undefined || tenure.over || late) return [];
      return [{ ...one, epoch: tenure.epoch }];
    });
    await this.#attempt(store, async () => store.saveProgress(ours, sightings));
  }

  /** Writes now, or puts the write into the queue. What is not stored is told from memory, so the tenure is looked at last. */
  async #write(
    metric: string,
    write: Write,
    always = false,
  ): Promise<"written" | "waits" | "not_owner"> {
    const { store } = this.#deps;
    if (store === undefined) return "waits";
    const tenure = this.#tenureOf(metric) ?? endedTenure(metric);
    if (await this.#writeNow({ write, tenure, always }, store)) return "written";
    if (tenure.over && !always) return "not_owner";
    this.#waiting.push({ write, tenure, always });
    if (this.#waiting.length > (this.#deps.waitingMax ?? WAITING_WRITES_MAX)) {
      this.#waiting.shift();
      this.#deps.metrics.writeDropped();
    }
    return "waits";
  }

  async #writeNow({ write, tenure, always }: WaitingWrite, store: JournalStore): Promise<boolean> {
    for (let attempts = 0; attempts < 2; attempts += 1) {
      if (tenure.over && !always) return false;
      if (!this.#mustWait(tenure) && (await this.#attempt(store, write, 0, tenure.epoch))) {
        return true;
      }
      // A process that was frozen finds its connections dead and its clock late: neither says that nobody else goes on.
      if ((await this.#deps.leases?.confirm()) !== true) return false;
    }
    return false;
  }

  /** Behind what waits for the database, and behind its own kind; not behind a group whose owner is not known yet. */
  #mustWait(tenure: Tenure): boolean {
    if (tenure.epoch === undefined && !tenure.over) return true;
    return this.#waiting.some(
      (one) => one.tenure === tenure || (one.tenure.epoch !== undefined && !one.tenure.over),
    );
  }

  async #drain(store: JournalStore): Promise<boolean> {
    for (const one of [...this.#waiting]) {
      const { write, tenure, always } = one;
      if (tenure.epoch === undefined && !tenure.over) continue;
      const wanted = always || !tenure.over;
      if (wanted && !(await this.#attempt(store, write, HEAD_START_MS, tenure.epoch))) return false;
      const at = this.#waiting.indexOf(one);
      if (at >= 0) this.#waiting.splice(at, 1);
    }
    return true;
  }

  /** False when the database does not answer; a write that it refuses for good is logged and counts as done. */
  async #attempt(
    store: JournalStore,
    write: Write,
    headStartMs = 0,
    epoch: string | undefined = "",
  ): Promise<boolean> {
    try {
      await write(store, headStartMs, epoch);
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

  #tenureOf(metric: string): Tenure | undefined {
    const { leases } = this.#deps;
    return leases === undefined ? SOLE_OWNER : leases.tenureOf(metric);
  }
}

/** Without leases there is one tenure for everything, and it never ends. */
const SOLE_OWNER: Tenure = { metric: "", epoch: "", over: false };

function endedTenure(metric: string): Tenure {
  return { metric, epoch: undefined, over: true };
}
