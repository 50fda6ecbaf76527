import type { Registry } from "prom-client";
import type { PrometheusAccess } from "../../lib/access.ts";
import type { Clock } from "../../lib/clock.ts";
import { exchange } from "../../lib/exchange.ts";
import type { StopStack } from "../../lib/lifecycle.ts";
import type { Log } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { prometheusHeaders } from "../../lib/prometheus-access.ts";
import { followTlsFiles } from "../../lib/tls-options.ts";
import { observingAccess } from "../config-observing.ts";
import type { HypervisorConfig } from "../config.ts";
import type { Probe } from "../health.ts";
import { createLive } from "../live/sockets.ts";
import { standingIn } from "../live/standing.ts";
import { createWatch, type Watch } from "../live/watch.ts";
import { recordingsFolder } from "../open-recordings.ts";
import { createFeeds } from "../logs/feeds.ts";
import { createCache } from "../monitoring/cache.ts";
import { proxyTargets } from "../proxy/targets.ts";
import type { ObservingDeps } from "../routes/observing.ts";
import { grafanaDashboards, shippedDashboards } from "./dashboards.ts";
import { lokiLogs } from "./loki.ts";
import { prometheusMetrics } from "./prometheus-metrics.ts";
import { createUpstreamMetrics, openUpstream } from "./upstream.ts";

export interface Observing extends ObservingDeps {
  readonly watch: Watch;
  /** Of those that are configured. */
  readonly probes: Readonly<Record<string, Probe>>;
}

interface Given {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  readonly stack: StopStack;
}

const MIB = 1024 * 1024;
const ANSWER_BYTES_MAX = { logs: 32 * MIB, metrics: 4 * MIB, dashboards: 4 * MIB };
const CACHE = { ttlMs: 5_000, entriesMax: 200, weightMax: 32 * MIB };
const POLL_MS = 1_000;

/** Whom the API asks for logs, metrics and dashboards, and the connections that stay open. */
export function openObserving(config: HypervisorConfig, given: Given): Observing {
  const { database, clock, log, registry, stack } = given;
  const access = observingAccess(config);
  const metrics = createUpstreamMetrics(registry);
  const upstream = (name: string, at: PrometheusAccess | undefined, bytesMax: number) =>
    openUpstream(at, { name, log, metrics, bytesMax });
  const logStore = lokiLogs(
    upstream("Loki", access.loki, ANSWER_BYTES_MAX.logs),
    config.lokiServiceLabel,
  );
  const cached = createCache({ ...CACHE, clock });
  const askGrafana = upstream("Grafana", access.grafana, ANSWER_BYTES_MAX.dashboards);
  const feeds = createFeeds({ store: logStore, clock, pollMs: POLL_MS });
  stack.add("log feeds", async () => feeds.stop());
  const watch = createWatch({ standing: standingIn(database), clock, log });
  return {
    logStore,
    feeds,
    watch,
    live: createLive({ watch, clock }),
    clock,
    log,
    database,
    metricStore: prometheusMetrics(
      upstream("Prometheus", access.prometheus, ANSWER_BYTES_MAX.metrics),
      cached,
    ),
    workflowMetrics: new RegExp(config.workflowMetrics, "v"),
    dashboards:
      access.grafana === undefined ? shippedDashboards() : grafanaDashboards(askGrafana, cached),
    proxyTargets: proxyTargets(access, {
      userHeader: config.grafanaUserHeader,
      roleHeader: config.grafanaRoleHeader,
    }),
    terminalIdleMs: config.terminalIdleSeconds * 1000,
    recordingsDir: recordingsFolder(config),
    probes: {
      ...probeOf("prometheus", access.prometheus, "/-/ready"),
      ...probeOf("loki", access.loki, "/ready"),
      ...probeOf("grafana", access.grafana, "/api/health"),
    },
  };
}

function probeOf(
  name: string,
  access: PrometheusAccess | undefined,
  path: string,
): Readonly<Record<string, Probe>> {
  if (access === undefined) return {};
  const tls = followTlsFiles(access.tls, { owner: name });
  const probe: Probe = async (signal) => {
    const headers = prometheusHeaders(access);
    const request = { headers, signal, tls: tls(), bytesMax: MIB };
    const { status } = await exchange(`${access.url}${path}`, request);
    if (status !== 200) throw new Error(`answered ${status}`);
  };
  return { [name]: probe };
}
