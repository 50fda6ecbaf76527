import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { shareOut } from "./share-out.ts";
import type { GroupTable, HeldGroup, Picture, Places, Tenure } from "./types/groups.ts";

/** How long an owner may be silent, and how often it speaks. */
export interface LeaseTimes {
  readonly leaseMs: number;
  readonly beatMs: number;
}

/**
 * A killed owner's groups are taken after 18 to 22 s: within the 35 s that were promised, with time to read the past. A
 * frozen or slow process has ten beats before it loses a past that takes minutes to read again.
 */
export const LEASE_TIMES: LeaseTimes = { leaseMs: 20_000, beatMs: 2_000 };

export interface GroupLeasesDeps {
  /** Undefined without a database: then everything is ours. */
  readonly table: GroupTable | undefined;
  readonly replica: string;
  readonly metrics: readonly string[];
  readonly times: LeaseTimes;
  readonly clock: Clock;
  readonly log: Log;
  readonly counted: { takeover(): void };
}

interface OwnTenure extends Tenure {
  epoch: string | undefined;
  over: boolean;
}

/**
 * Which groups this replica owns. It beats: renews its leases, takes its share of what has no owner, learns what it lost.
 *
 * While the database does not answer it keeps what it owns, since nobody else can take it, and takes nothing. A replica
 * that has not reached the database since its start owns everything until it knows better: an alert that is told twice is
 * better than one that is not told.
 */
export class GroupLeases {
  readonly #deps: GroupLeasesDeps;
  readonly #tenures = new Map<string, OwnTenure>();
  readonly #stopping = new AbortController();
  #picture: Picture | undefined;
  #giving: readonly string[] = [];
  #fault: unknown;
  /** When the last finished beat began, on the monotonic clock: it goes on while the process is frozen. */
  #beganAt = -Infinity;
  #beating: Promise<void> | undefined;
  #running: Promise<void> | undefined;

  constructor(deps: GroupLeasesDeps) {
    this.#deps = deps;
  }

  /** The last error of the database; undefined while it answers. */
  get fault(): unknown {
    return this.#fault;
  }

  /** All tenures that have not been dropped, also those that are over. */
  get tenures(): readonly Tenure[] {
    return [...this.#tenures.values()];
  }

  tenureOf(metric: string): Tenure | undefined {
    return this.#tenures.get(metric);
  }

  places(): Places {
    const { metrics, replica } = this.#deps;
    const owners = new Map(this.#picture?.groups.map(({ metric, owner }) => [metric, owner]));
    const isHere = (metric: string) => this.#tenures.get(metric)?.over === false;
    const isElsewhere = (metric: string) => ![undefined, replica].includes(owners.get(metric));
    const others = metrics.filter((metric) => !isHere(metric));
    return {
      here: metrics.filter(isHere),
      elsewhere: others.filter(isElsewhere),
      nowhere: others.filter((metric) => !isElsewhere(metric)),
    };
  }

  /** The first beat. Never rejects. */
  async begin(): Promise<void> {
    await this.#beat();
  }

  /** Beats until `stop`; calls `onBeat` after each. */
  start(onBeat: () => void): void {
    this.#running ??= this.#run(onBeat);
  }

  /**
   * Makes sure that what is known about the tenures is not old: a process that was frozen looks before it speaks.
   *
   * @returns whether the database answers
   */
  async confirm(): Promise<boolean> {
    const { table, times } = this.#deps;
    if (table === undefined || this.#stopping.signal.aborted) return false;
    // The beat that was under way when the process froze says nothing about now: then it takes a second one.
    for (let beats = 0; beats < 2 && this.#ageMs() > times.leaseMs / 2; beats += 1) {
      await this.#beat();
    }
    return this.#fault === undefined;
  }

  /** Releases groups that another replica should have, if all that is known about them is written down. */
  async handOver(isWritten: (metric: string) => boolean): Promise<void> {
    const { table, log } = this.#deps;
    for (const metric of this.#giving) {
      const tenure = this.#tenures.get(metric);
      if (tenure === undefined || !isHeld(tenure) || !isWritten(metric)) continue;
      try {
        await table?.release(tenure);
      } catch (error) {
        log.warn("group not handed over", { metric, error });
        return;
      }
      tenure.over = true;
      log.info("group handed over", { metric });
    }
    this.#giving = [];
  }

  /** A tenure that is over may begin anew once its memory is gone. */
  forget(tenure: Tenure): void {
    if (this.#tenures.get(tenure.metric) === tenure) this.#tenures.delete(tenure.metric);
  }

  /** Releases everything at once, so that nobody waits for the leases to end. Idempotent. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    await this.#running;
    await this.#beating;
    for (const tenure of this.#tenures.values()) tenure.over = true;
    await this.#deps.table?.leave().catch((error: unknown) => {
      this.#deps.log.warn("groups not released, their leases will end", { error });
    });
  }

  async #run(onBeat: () => void): Promise<void> {
    const { clock, times, table } = this.#deps;
    const { signal } = this.#stopping;
    onBeat();
    if (table === undefined) return;
    for (;;) {
      await clock.sleep(times.beatMs, signal);
      if (signal.aborted) return;
      await this.#beat();
      onBeat();
    }
  }

  async #beat(): Promise<void> {
    this.#beating ??= this.#beatOnce().finally(() => {
      this.#beating = undefined;
    });
    await this.#beating;
  }

  async #beatOnce(): Promise<void> {
    const { table, metrics, log } = this.#deps;
    const beganAt = performance.now();
    try {
      if (table === undefined) {
        this.#assumeAll();
      } else {
        const picture = await table.beat(metrics, [...this.#tenures.values()].filter(isHeld));
        this.#picture = picture;
        this.#endTenures(picture);
        await this.#takeShare(picture, table);
        if (this.#fault !== undefined) log.info("group leases renewed again");
        this.#fault = undefined;
      }
    } catch (error) {
      if (this.#fault === undefined) log.warn("group leases not renewed", { error });
      this.#fault = error;
      if (this.#picture === undefined) this.#assumeAll();
    }
    this.#beganAt = beganAt;
  }

  #assumeAll(): void {
    for (const metric of this.#deps.metrics) {
      if (this.#tenures.has(metric)) continue;
      this.#tenures.set(metric, { metric, epoch: undefined, over: false });
    }
  }

  #endTenures({ held, groups }: Picture): void {
    const { replica, log } = this.#deps;
    for (const tenure of this.#tenures.values()) {
      const { metric, epoch, over } = tenure;
      const owner = groups.find((one) => one.metric === metric)?.owner;
      const lost =
        epoch === undefined ? owner !== undefined && owner !== replica : !held.includes(metric);
      if (over || !lost) continue;
      tenure.over = true;
      log.warn("group belongs to another replica now", { metric });
    }
  }

  async #takeShare(picture: Picture, table: GroupTable): Promise<void> {
    const { replica, counted, log } = this.#deps;
    const { take, give } = shareOut(picture, replica);
    this.#giving = give;
    for (const metric of take) {
      const known = this.#tenures.get(metric);
      // What was lost is taken again only when its memory is gone; what changed hands since the picture, not at all.
      if (known?.over === true || this.#stopping.signal.aborted) continue;
      const abandoned = picture.groups.some((one) => one.metric === metric && one.abandoned);
      const epoch = await table.take(metric, { abandoned });
      if (epoch === undefined) continue;
      if (abandoned) counted.takeover();
      log.info("group taken", { metric, epoch, abandoned });
      if (known === undefined) this.#tenures.set(metric, { metric, epoch, over: false });
      else known.epoch = epoch;
    }
  }

  #ageMs(): number {
    return performance.now() - this.#beganAt;
  }
}

function isHeld<T extends Tenure>(tenure: T): tenure is T & HeldGroup {
  return tenure.epoch !== undefined && !tenure.over;
}
