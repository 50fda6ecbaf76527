import type { PrometheusAccess } from "../lib/access.ts";
import { messageOf } from "../lib/error.ts";
import { readFileSync } from "node:fs";
import {
  ConfigError,
  decimal,
  flag,
  integer,
  optional,
  port,
  readConfig,
  secret,
  text,
  withDefault,
  type Config,
  type Environment,
  type Shape,
} from "../lib/config.ts";
import { prometheusAccess, prometheusVariables } from "../lib/prometheus-access.ts";
import { channelSettings, channelVariables, type ChannelSettings } from "./config/channels.ts";
import { retrainingVariables, trainingEnvironment } from "./config/retraining.ts";
import { metricList, parseMetricFile } from "./metric-list.ts";
import { HISTORY_STEPS_MAX } from "./tools/history.ts";
import type { MetricQuery } from "./types/source.ts";

/** Recording rules of ours; names as the autofix policy of runbooks writes them (`success_rate:trend_break`). */
const DEFAULT_METRICS: readonly MetricQuery[] = [
  { name: "success_rate", expr: "http_requests:success_rate" },
  { name: "latency_p99", expr: "http_requests:latency_p99" },
  { name: "therapy_success_rate", expr: "therapy:success_rate" },
  { name: "cluster_cost", expr: "sum(kubecost_cluster_cost)" },
];

/** What 256 random bits need in hex or base64 is more; what a person makes up is less. */
const API_TOKEN_BYTES_MIN = 32;

/** Every variable of the detector. The step of all queries is the interval. */
export const shape = {
  ...prometheusVariables,
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
  pageThreshold: withDefault(
    "AIOPS_PAGE_THRESH",
    decimal({ min: 0.05, max: 1 }),
    0.85,
    "published score from which an anomaly is critical, below it is a warning",
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
    5_000,
    "series scored at most, over all metrics (40 kB each)",
  ),
  backfillPoints: withDefault(
    "AIOPS_BACKFILL_POINTS",
    integer({ min: 0, max: 50_000 }),
    11_520,
    "past points read from Prometheus at start; eight days of minutes, so that the season is known",
  ),
  databaseUrl: optional(
    "AIOPS_DATABASE_URL",
    secret,
    "PostgreSQL; without it nothing survives a restart",
  ),
  features: withDefault(
    "AIOPS_FEATURES",
    flag,
    false,
    "keep every scored point in aiops_features, for training on one's own data",
  ),
  featuresRetentionDays: withDefault(
    "AIOPS_FEATURES_RETENTION_DAYS",
    integer({ min: 1, max: 3650 }),
    30,
    "days of scored points that are kept",
  ),
  ...retrainingVariables,
  ...channelVariables,
  apiToken: optional(
    "DETECTOR_API_TOKEN",
    secret,
    "bearer token of those who may label anomalies, at least 32 bytes; nobody may without it",
  ),
  port: withDefault("DETECTOR_PORT", port, 9464, "port of /metrics, /health, /anomalies"),
  host: withDefault("DETECTOR_HOST", text, "127.0.0.1", "address to listen on"),
} as const;

export type DetectorConfig = Config<typeof shape> & {
  readonly metrics: readonly MetricQuery[];
  readonly prometheus: PrometheusAccess;
  readonly channels: ChannelSettings;
  /** The environment of a process that trains. A function, so that nobody prints its secrets. */
  readonly trainingEnvironment: () => Readonly<Record<string, string>>;
};

/** @throws ConfigError listing all problems, each with the variable's name */
export function readDetectorConfig(env: Environment): DetectorConfig {
  const config = readConfig(shape, env);
  const problems: string[] = [];
  const metrics = chosenMetrics(config, problems);
  const prometheus = prometheusAccess(config, problems);
  const channels = channelSettings(config, problems);
  const { apiToken } = config;
  if (apiToken !== undefined && Buffer.byteLength(apiToken.reveal()) < API_TOKEN_BYTES_MIN) {
    problems.push(`DETECTOR_API_TOKEN: must be at least ${API_TOKEN_BYTES_MIN} bytes`);
  }
  if (config.features && config.databaseUrl === undefined) {
    problems.push("AIOPS_FEATURES: needs AIOPS_DATABASE_URL");
  }
  problems.push(...retrainingProblems(config));
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({
    ...{ ...config, metrics, prometheus, channels },
    trainingEnvironment: () => trainingEnvironment(trainingShape, env),
  });
}

function retrainingProblems(config: Config<typeof shape>): readonly string[] {
  const { retrainCron, retrainDays: days, intervalSeconds: seconds } = config;
  const steps = (days * 86_400) / seconds;
  if (retrainCron === "off" || steps <= HISTORY_STEPS_MAX) return [];
  return [
    `AIOPS_RETRAIN_DAYS: ${days} days are ${steps} steps of ${seconds} s, at most ${HISTORY_STEPS_MAX} can be read`,
  ];
}

/** Training tells nobody, and nobody asks it. */
const trainingShape: Shape = Object.fromEntries(
  Object.entries(shape).filter(([key]) => !(key in channelVariables || key === "apiToken")),
);

function chosenMetrics(
  { metricList: listed, metricFile: path }: Config<typeof shape>,
  problems: string[],
): readonly MetricQuery[] {
  if (path === undefined) return listed ?? DEFAULT_METRICS;
  if (listed !== undefined) {
    problems.push("AIOPS_METRICS_FILE: cannot be set together with AIOPS_METRICS");
    return listed;
  }
  try {
    return parseMetricFile(readFileSync(path, "utf8"));
  } catch (error) {
    problems.push(`AIOPS_METRICS_FILE: ${path}: ${messageOf(error)}`);
    return DEFAULT_METRICS;
  }
}
