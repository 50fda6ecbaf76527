import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { newestStep } from "./cycle.ts";
import { Memories } from "./memories.ts";
import type { DetectorMetrics } from "./metrics.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { Places, Tenure } from "./types/groups.ts";
import type { MetricQuery } from "./types/source.ts";
import type { AnomalyStore, Resume } from "./types/store.ts";
import {
  admitSeries,
  dropSeries,
  watchMetric,
  type SeriesBudget,
  type WatchedMetric,
} from "./watched-metric.ts";

export interface WatchedGroupsDeps {
  readonly leases: {
    readonly tenures: readonly Tenure[];
    places(): Places;
    forget(tenure: Tenure): void;
  };
  readonly store: Pick<AnomalyStore, "resume"> | undefined;
  readonly metrics: Pick<
    DetectorMetrics,
    "show" | "showInfo" | "hideInfo" | "forget" | "groupOwned"
  >;
  readonly clock: Clock;
  readonly step: number;
  readonly backfillPoints: number;
  readonly budget: SeriesBudget;
  readonly log: Log;
}

interface Group {
  readonly watched: WatchedMetric;
  readonly tenure: Tenure;
  /** Whether the anomalies that an earlier owner left open are known. */
  resumed: boolean;
  /** Somebody evaluates it now: it is not to be changed, and not to be evaluated by another. */
  busy: boolean;
}

/** The memory of the groups that are ours. It follows the leases: begins what was taken, drops what is over. */
export class WatchedGroups {
  /** What is ours, in place: who holds on to this array always sees what is watched now. */
  readonly watched: WatchedMetric[] = [];
  /** Every configured metric, in place, for people: those that are not ours say so. */
  readonly shown: WatchedMetric[] = [];
  readonly #queries: readonly MetricQuery[];
  readonly #deps: WatchedGroupsDeps;
  readonly #groups = new Map<string, Group>();
  #following: Promise<unknown> = Promise.resolve();

  constructor(queries: readonly MetricQuery[], deps: WatchedGroupsDeps) {
    this.#queries = queries;
    this.#deps = deps;
  }

  owns(metric: string): boolean {
    return this.#groups.get(metric)?.tenure.over === false;
  }

  /** Brings the memory in line with the leases. @returns what is watched from now on, and has no past yet */
  async follow(): Promise<readonly WatchedMetric[]> {
    const next = this.#following.then(async () => this.#follow());
    this.#following = next.catch(() => undefined);
    return next;
  }

  /** Runs `work` on what nobody else works on; all of it, unless some is named. */
  async evaluate(
    work: (watched: readonly WatchedMetric[]) => Promise<void>,
    wanted: readonly WatchedMetric[] = this.watched,
  ): Promise<void> {
    const lent = [...this.#groups.values()].filter(
      ({ watched, busy, tenure }) => wanted.includes(watched) && !busy && !tenure.over,
    );
    for (const group of lent) group.busy = true;
    try {
      await work(lent.map(({ watched }) => watched));
    } finally {
      for (const group of lent) group.busy = false;
      this.dropEnded();
    }
  }

  /** Whether a group can be given away now. */
  isIdle(metric: string): boolean {
    return this.#groups.get(metric)?.busy === false;
  }

  /** Forgets what is over, its series on /metrics included; what is being evaluated, as soon as that ends. */
  dropEnded(): void {
    for (const [metric, group] of this.#groups) {
      if (group.tenure.over && !group.busy) this.#drop(metric, group);
    }
    this.#show();
  }

  async #follow(): Promise<readonly WatchedMetric[]> {
    this.dropEnded();
    const begun: WatchedMetric[] = [];
    for (const tenure of this.#deps.leases.tenures) {
      const query = this.#queries.find(({ name }) => name === tenure.metric);
      const known = this.#groups.get(tenure.metric);
      if (known !== undefined) await this.#adopt(known);
      else if (query === undefined || tenure.over) this.#deps.leases.forget(tenure);
      else begun.push(await this.#begin(query, tenure));
    }
    this.#show();
    return begun;
  }

  /** Begins to watch a metric, where an earlier owner left off if the database knows. */
  async #begin(query: MetricQuery, tenure: Tenure): Promise<WatchedMetric> {
    const { clock, step, backfillPoints, budget } = this.#deps;
    const known = await this.#resume(query, tenure);
    const resume = known ?? { evaluatedUntil: undefined, open: [] };
    const now = newestStep(clock.now(), step);
    const watched = watchMetric(query, { resume, now, step, backfillPoints }, budget);
    this.#groups.set(query.name, { watched, tenure, resumed: known !== undefined, busy: false });
    this.watched.push(watched);
    this.#showOpen(watched);
    return watched;
  }

  /** What was watched before the database could be asked keeps its memory, and gets what an earlier owner left open. */
  async #adopt(group: Group): Promise<void> {
    const { watched, tenure, resumed, busy } = group;
    if (resumed || busy || tenure.over) return;
    const resume = await this.#resume(watched.query, tenure);
    // It may have become busy while the database was asked: then the next beat tries again.
    if (resume === undefined || !this.isIdle(watched.query.name)) return;
    for (const anomaly of resume.open) this.#adoptOpen(watched, anomaly);
    group.resumed = true;
    this.#showOpen(watched);
  }

  #adoptOpen(watched: WatchedMetric, anomaly: Anomaly): void {
    const series = admitSeries(watched, anomaly.labels, anomaly.openedAt, this.#deps.budget);
    if (series === undefined || series.episode.kind === "open") return;
    series.episode = anomaly.evidence;
    series.anomaly = anomaly;
  }

  /** Undefined when it is not known. */
  async #resume(query: MetricQuery, tenure: Tenure): Promise<Resume | undefined> {
    const { store, log } = this.#deps;
    if (store === undefined) return { evaluatedUntil: undefined, open: [] };
    if (tenure.epoch === undefined) return undefined;
    try {
      return await store.resume(query);
    } catch (error) {
      // Scoring does not wait for the database; its unique index still keeps a second row from being opened.
      log.warn("open anomalies not restored yet", { metric: query.name, error });
      return undefined;
    }
  }

  #drop(metric: string, { watched, tenure }: Group): void {
    const { metrics, budget, leases } = this.#deps;
    for (const series of [...watched.series.values()]) {
      if (series.anomaly !== undefined) metrics.hideInfo(series.anomaly);
      metrics.forget(metric, series.id);
      dropSeries(watched, series, budget);
    }
    this.#groups.delete(metric);
    this.watched.splice(this.watched.indexOf(watched), 1);
    leases.forget(tenure);
  }

  #showOpen({ query, series }: WatchedMetric): void {
    const { metrics } = this.#deps;
    for (const one of series.values()) {
      metrics.show(query.name, one);
      if (one.anomaly !== undefined) metrics.showInfo(one.anomaly);
    }
  }

  #show(): void {
    const { leases, metrics } = this.#deps;
    const { elsewhere } = leases.places();
    const all = this.#queries.map((query) => {
      metrics.groupOwned(query.name, this.owns(query.name));
      const ours = this.#groups.get(query.name)?.watched;
      return ours ?? strange(query, elsewhere.includes(query.name));
    });
    this.shown.splice(0, this.shown.length, ...all);
  }
}

/** Stands for a metric that is not ours. */
function strange(query: MetricQuery, elsewhere: boolean): WatchedMetric {
  return {
    ...{ query, series: new Map(), evaluatedUntil: 0, silentUntil: 0, watchedSince: 0 },
    ...{ fault: undefined, capReported: false, memories: new Memories() },
    watcher: elsewhere ? "another" : "nobody",
  };
}
