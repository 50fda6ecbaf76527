import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { QueryFault } from "./faults.ts";
import type { RetrainResult } from "./retraining.ts";
import type { Series } from "./series.ts";
import type { Anomaly } from "./types/anomaly.ts";
import type { ChannelName, DeliveryResult } from "./types/delivery.ts";

/** Everything that the detector counts and shows; the names are the contract's. */
export interface DetectorMetrics extends SeriesMetrics, WorkMetrics, GroupMetrics {
  /** A training of this replica has ended. */
  retrained(result: RetrainResult): void;
}

/** What is known about each series. */
interface SeriesMetrics {
  /** Publishes what is now known about a series. */
  show(metric: string, series: Series): void;
  /** Removes a series that is gone. */
  forget(metric: string, series: string): void;
  showInfo(anomaly: Anomaly): void;
  hideInfo(anomaly: Anomaly): void;
}

/** How the detector itself does. */
interface WorkMetrics {
  scored(metric: string, points: number): void;
  queryFailed(metric: string, kind: QueryFault): void;
  seriesRefused(metric: string, count: number): void;
  cycleTook(seconds: number): void;
  modelTrained(metric: string, at: Date): void;
  delivery(channel: ChannelName, result: DeliveryResult | "failed" | "dropped"): void;
  writeDropped(): void;
  featureRows(result: "written" | "dropped", rows: number): void;
}

/** Which metrics this replica watches. */
interface GroupMetrics {
  groupOwned(metric: string, owned: boolean): void;
  /** A group was taken from a replica that had not released it. */
  takeover(): void;
}

const BY_SERIES = ["metric", "series"] as const;

export function createDetectorMetrics(registry: Registry): DetectorMetrics {
  return {
    ...createSeriesMetrics(registry),
    ...createWorkMetrics(registry),
    ...createGroupMetrics(registry),
    retrained: createRetrainMetrics(registry),
  };
}

function createSeriesMetrics(registry: Registry): SeriesMetrics {
  const gauge = <L extends string>(name: string, help: string, labels: readonly L[]): Gauge<L> =>
    new Gauge({ name, help, labelNames: [...labels], registers: [registry] });
  const current = gauge(
    "aiops_anomaly_current",
    "1 while a published anomaly is open, else 0",
    BY_SERIES,
  );
  const score = gauge(
    "aiops_anomaly_score",
    "Anomaly score of the newest point, 0 to 1",
    BY_SERIES,
  );
  const delta = gauge(
    "aiops_anomaly_delta",
    "Newest value minus the median of the 288 before it",
    BY_SERIES,
  );
  const zscore = gauge(
    "aiops_anomaly_zscore",
    "Robust z of the newest value against the `window` values before it",
    [...BY_SERIES, "window"] as const,
  );
  const info = gauge(
    "aiops_anomaly_info",
    "1 while a published anomaly is open, with its reason and target",
    [...BY_SERIES, "reason", "namespace", "app"] as const,
  );
  const windows = new Set<string>();
  return {
    show: (metric, series) => {
      const labels = { metric, series: series.id };
      current.set(labels, series.anomaly === undefined ? 0 : 1);
      if (series.last === undefined) return;
      score.set(labels, series.last.score);
      delta.set(labels, series.last.delta);
      for (const { window, z } of series.last.zscores) {
        windows.add(String(window));
        zscore.set({ ...labels, window: String(window) }, z);
      }
    },
    forget: (metric, series) => {
      for (const one of [current, score, delta]) one.remove({ metric, series });
      for (const window of windows) zscore.remove({ metric, series, window });
    },
    showInfo: (anomaly) => {
      info.set(infoLabels(anomaly), 1);
    },
    hideInfo: (anomaly) => {
      info.remove(infoLabels(anomaly));
    },
  };
}

function createGroupMetrics(registry: Registry): GroupMetrics {
  const owned = new Gauge({
    name: "aiops_group_owned",
    help: "1 if this replica watches the metric, else 0",
    labelNames: ["metric"],
    registers: [registry],
  });
  const takeovers = new Counter({
    name: "aiops_group_takeovers_total",
    help: "Metrics taken over from a replica that died or lost the database",
    registers: [registry],
  });
  return {
    groupOwned: (metric, isOurs) => {
      owned.set({ metric }, isOurs ? 1 : 0);
    },
    takeover: () => {
      takeovers.inc();
    },
  };
}

function createRetrainMetrics(registry: Registry): DetectorMetrics["retrained"] {
  const total = new Counter({
    name: "aiops_retrain_total",
    help: "Trainings by this replica; kept: the replay did not let the new model take over",
    labelNames: ["result"],
    registers: [registry],
  });
  const lastSuccess = new Gauge({
    name: "aiops_retrain_last_success_timestamp_seconds",
    help: "When this replica last trained without an error; absent before",
    registers: [registry],
  });
  lastSuccess.remove(); // it begins with 0, which would be 1970
  for (const result of ["promoted", "kept", "failed"]) total.inc({ result }, 0);
  return (result) => {
    total.inc({ result });
    if (result !== "failed") lastSuccess.setToCurrentTime();
  };
}

function createWorkMetrics(registry: Registry): WorkMetrics {
  const counter = <L extends string>(name: string, help: string, labels: L[]): Counter<L> =>
    new Counter({ name, help, labelNames: labels, registers: [registry] });
  const scored = counter("aiops_series_scored_total", "Points scored", ["metric"]);
  const queryErrors = counter("aiops_query_errors_total", "Queries without a usable answer", [
    "metric",
    "kind",
  ]);
  const refused = counter(
    "aiops_series_refused_total",
    "Series not scored because of AIOPS_MAX_SERIES, counted at each evaluation",
    ["metric"],
  );
  const deliveries = counter("aiops_alert_deliveries_total", "Alerts by channel and result", [
    "channel",
    "result",
  ]);
  const dropped = counter("aiops_database_writes_dropped_total", "Database writes given up", []);
  const featureRows = counter("aiops_feature_rows_total", "Rows for aiops_features, by result", [
    "result",
  ]);
  const trained = new Gauge({
    name: "aiops_model_trained_timestamp_seconds",
    help: "When the model in use was trained",
    labelNames: ["metric"],
    registers: [registry],
  });
  const cycle = new Histogram({
    name: "aiops_cycle_duration_seconds",
    help: "Time from the query to the published result, all metrics",
    buckets: [0.05, 0.25, 1, 5, 15, 60],
    registers: [registry],
  });
  return {
    scored: (metric, points) => {
      scored.inc({ metric }, points);
    },
    queryFailed: (metric, kind) => {
      queryErrors.inc({ metric, kind });
    },
    seriesRefused: (metric, count) => {
      refused.inc({ metric }, count);
    },
    cycleTook: (seconds) => {
      cycle.observe(seconds);
    },
    modelTrained: (metric, at) => {
      trained.set({ metric }, at.getTime() / 1000);
    },
    delivery: (channel, result) => {
      deliveries.inc({ channel, result });
    },
    featureRows: (result, rows) => {
      featureRows.inc({ result }, rows);
    },
    writeDropped: () => {
      dropped.inc();
    },
  };
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
