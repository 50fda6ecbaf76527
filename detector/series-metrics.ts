import { Gauge, type MetricObjectWithValues, type MetricValue, type Registry } from "prom-client";
import { deltaOf, scoreOf, zscoresOf } from "./last-words.ts";
import type { Series } from "./series.ts";
import type { Anomaly } from "./types/anomaly.ts";

/** What is known about each series. */
export interface SeriesMetrics {
  /** From now on what is known about a series is on /metrics, as it is when somebody asks. */
  show(metric: string, series: Series): void;
  /** Removes a series that is gone. */
  forget(metric: string, series: string): void;
  showInfo(anomaly: Anomaly): void;
  hideInfo(anomaly: Anomaly): void;
}

const BY_SERIES = ["metric", "series"] as const;
type SeriesLabel = (typeof BY_SERIES)[number];
type Shown = Map<string, Map<string, Series>>;

/**
 * Reads its numbers from the series when it is asked: a gauge that keeps its own would keep 3 kB for each series, and be
 * set seven times per series and cycle.
 */
class SeriesGauge<L extends string> extends Gauge<SeriesLabel | L> {
  readonly #shown: Shown;
  readonly #read: (series: Series) => readonly Reading<L>[];

  constructor(
    shown: Shown,
    description: { readonly name: string; readonly help: string; readonly registry: Registry },
    read: (series: Series) => readonly Reading<L>[],
    labels: readonly L[] = [],
  ) {
    const { name, help, registry } = description;
    super({ name, help, labelNames: [...BY_SERIES, ...labels], registers: [registry] });
    this.#shown = shown;
    this.#read = read;
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<SeriesLabel | L>>> {
    const values = { [Symbol.iterator]: () => this.#values() };
    // The registry only goes through them: as an array those of all gauges, 100 MB, would be there at the same time.
    return { ...(await super.get()), values: values as MetricValue<SeriesLabel | L>[] };
  }

  *#values(): Generator<MetricValue<SeriesLabel | L>> {
    for (const [metric, all] of this.#shown) {
      for (const series of all.values()) {
        for (const { value, labels } of this.#read(series)) {
          // The compiler cannot see that two known labels and those of L are all of them.
          const all = { metric, series: series.id, ...labels } as Record<SeriesLabel | L, string>;
          yield { value, labels: all };
        }
      }
    }
  }
}

interface Reading<L extends string> {
  readonly value: number;
  readonly labels?: Readonly<Record<L, string>>;
}

/** The series' own metrics; the names are the contract's. */
export function createSeriesMetrics(registry: Registry): SeriesMetrics {
  const shown: Shown = new Map();
  createGauges(shown, registry);
  const info = new Gauge({
    name: "aiops_anomaly_info",
    help: "1 while a published anomaly is open, with its reason and target",
    labelNames: [...BY_SERIES, "reason", "namespace", "app"],
    registers: [registry],
  });
  return {
    show: (metric, series) => {
      const all = shown.get(metric) ?? new Map<string, Series>();
      shown.set(metric, all.set(series.id, series));
    },
    forget: (metric, series) => {
      shown.get(metric)?.delete(series);
    },
    showInfo: (anomaly) => {
      info.set(infoLabels(anomaly), 1);
    },
    hideInfo: (anomaly) => {
      info.remove(infoLabels(anomaly));
    },
  };
}

function createGauges(shown: Shown, registry: Registry): void {
  const current = "1 while a published anomaly is open, else 0";
  new SeriesGauge(
    shown,
    { name: "aiops_anomaly_current", help: current, registry },
    ({ anomaly }) => [{ value: anomaly === undefined ? 0 : 1 }],
  );
  const score = "Anomaly score of the newest point, 0 to 1";
  new SeriesGauge(shown, { name: "aiops_anomaly_score", help: score, registry }, ({ last }) =>
    last === undefined ? [] : [{ value: scoreOf(last) }],
  );
  const delta = "Newest value minus the median of the 288 before it";
  new SeriesGauge(shown, { name: "aiops_anomaly_delta", help: delta, registry }, ({ last }) =>
    last === undefined ? [] : [{ value: deltaOf(last) }],
  );
  const zscore = "Robust z of the newest value against the `window` values before it";
  new SeriesGauge(
    shown,
    { name: "aiops_anomaly_zscore", help: zscore, registry },
    ({ last }) =>
      last === undefined
        ? []
        : zscoresOf(last).map(({ window, z }) => ({
            value: z,
            labels: { window: String(window) },
          })),
    ["window"],
  );
}

function infoLabels({ metric, series, reason, namespace, app }: Anomaly): {
  readonly metric: string;
  readonly series: string;
  readonly reason: string;
  readonly namespace: string;
  readonly app: string;
} {
  return { metric, series, reason, namespace, app };
}
