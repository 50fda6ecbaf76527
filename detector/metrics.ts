import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { QueryFault } from "./faults.ts";
import type { RetrainResult } from "./retraining.ts";
import { createSeriesMetrics, type SeriesMetrics } from "./series-metrics.ts";
import type { ChannelName, DeliveryResult } from "./types/delivery.ts";

/** Everything that the detector counts and shows; the names are the contract's. */
export interface DetectorMetrics extends SeriesMetrics, WorkMetrics, GroupMetrics {
  /** A training of this replica has ended. */
  retrained(result: RetrainResult): void;
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

export function createDetectorMetrics(registry: Registry): DetectorMetrics {
  return {
    ...createSeriesMetrics(registry),
    ...createWorkMetrics(registry),
    ...createGroupMetrics(registry),
    retrained: createRetrainMetrics(registry),
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
