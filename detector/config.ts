import { messageOf } from "../lib/error.ts";
import { readFileSync } from "node:fs";
import {
  ConfigError,
  decimal,
  integer,
  optional,
  port,
  readConfig,
  secret,
  text,
  url,
  withDefault,
  type Config,
  type Environment,
} from "../lib/config.ts";
import { metricList, parseMetricFile } from "./metric-list.ts";
import type { MetricQuery } from "./types.ts";

/** The recording rules of S3; names as the autofix policy of runbooks writes them (`success_rate:trend_break`). */
const DEFAULT_METRICS: readonly MetricQuery[] = [
  { name: "success_rate", expr: "http_requests:success_rate" },
  { name: "latency_p99", expr: "http_requests:latency_p99" },
  { name: "therapy_success_rate", expr: "therapy:success_rate" },
  { name: "cluster_cost", expr: "sum(kubecost_cluster_cost)" },
];

/** Every variable of the detector. The step of all queries is the interval. */
export const shape = {
  promUrl: withDefault(
    "PROM_URL",
    url,
    "http://127.0.0.1:9090",
    "Prometheus, or anything with its query API",
  ),
  promToken: optional("PROM_TOKEN", secret, "bearer token for Prometheus"),
  metricList: optional("AIOPS_METRICS", metricList, "name=PromQL;name=PromQL, or a JSON object"),
  metricFile: optional(
    "AIOPS_METRICS_FILE",
    text,
    "YAML file with name: PromQL, instead of AIOPS_METRICS",
  ),
  intervalSeconds: withDefault(
    "AIOPS_INTERVAL_SECONDS",
    integer({ min: 1, max: 3600 }),
    60,
    "seconds between points, and between cycles",
  ),
  scoreThreshold: withDefault(
    "AIOPS_SCORE_THRESH",
    decimal({ min: 0.05, max: 1 }),
    0.65,
    "published score from which an anomaly opens",
  ),
  zThreshold: withDefault(
    "AIOPS_Z_THRESH",
    decimal({ min: 0.5, max: 100 }),
    3,
    "usual spreads that a single point must jump to count as a jump",
  ),
  volatilityMultiple: withDefault(
    "AIOPS_VOL_MULT",
    decimal({ min: 1, max: 100 }),
    3,
    "growth of the spread that is called volatility_spike",
  ),
  percentThreshold: withDefault(
    "AIOPS_PCT_THRESH",
    decimal({ min: 0, max: 10_000 }),
    5,
    "percent below which a lone spike is not published",
  ),
  warmupPoints: withDefault(
    "AIOPS_WARMUP_POINTS",
    integer({ min: 30, max: 100_000 }),
    300,
    "first points of a series in which nothing opens",
  ),
  newNormalPoints: withDefault(
    "AIOPS_NEW_NORMAL_POINTS",
    integer({ min: 10, max: 1_000_000 }),
    4032,
    "points after which a state that lasts is the new normal",
  ),
  maxSeries: withDefault(
    "AIOPS_MAX_SERIES",
    integer({ min: 1, max: 100_000 }),
    500,
    "series scored at most, over all metrics (about 0.5 MB each)",
  ),
  backfillPoints: withDefault(
    "AIOPS_BACKFILL_POINTS",
    integer({ min: 0, max: 50_000 }),
    4320,
    "past points read from Prometheus at start",
  ),
  databaseUrl: optional(
    "AIOPS_DATABASE_URL",
    secret,
    "PostgreSQL; without it nothing survives a restart",
  ),
  webhookUrl: optional(
    "AIOPS_WEBHOOK_URL",
    url,
    "where anomalies are posted: the runbooks service's /alertmanager",
  ),
  webhookSecret: optional(
    "AIOPS_WEBHOOK_SECRET",
    secret,
    "signs the posted body (HMAC-SHA256 with timestamp)",
  ),
  port: withDefault("DETECTOR_PORT", port, 9464, "port of /metrics, /health, /anomalies"),
  host: withDefault("DETECTOR_HOST", text, "127.0.0.1", "address to listen on"),
} as const;

export type DetectorConfig = Config<typeof shape> & {
  readonly metrics: readonly MetricQuery[];
};

/** @throws ConfigError listing all problems, each with the variable's name */
export function readDetectorConfig(env: Environment): DetectorConfig {
  const config = readConfig(shape, env);
  return Object.freeze({ ...config, metrics: chosenMetrics(config) });
}

function chosenMetrics(config: Config<typeof shape>): readonly MetricQuery[] {
  const { metricList: listed, metricFile: path } = config;
  if (path === undefined) return listed ?? DEFAULT_METRICS;
  if (listed !== undefined) {
    throw new ConfigError(["AIOPS_METRICS_FILE: cannot be set together with AIOPS_METRICS"]);
  }
  try {
    return parseMetricFile(readFileSync(path, "utf8"));
  } catch (error) {
    const detail = messageOf(error);
    throw new ConfigError([`AIOPS_METRICS_FILE: ${path}: ${detail}`]);
  }
}
