import { authorizationOf } from "../../lib/authorization.ts";
import { systemClock } from "../../lib/clock.ts";
import { followTlsFiles } from "../../lib/tls-options.ts";
import { frameOf } from "../alert.ts";
import type { AlertmanagerAccess } from "../types/access.ts";
import type { Anomaly } from "../types/anomaly.ts";
import type { AlertStatus, Channel } from "../types/delivery.ts";
import { openCluster, type ClusterDeps } from "./alertmanager-cluster.ts";
import { postJson } from "./post-json.ts";

/** Five repeats: Alertmanager resolves an alert by itself once we have been silent for so long. */
const ALIVE_MS = 5 * 60_000;
/** Alerts of one request; some kilobytes each. */
const BATCH_ALERTS = 200;

export interface AlertmanagerOptions extends AlertmanagerAccess, ClusterDeps {
  readonly link?: (id: string) => string | undefined;
  readonly timeoutMs?: number;
}

/**
 * Tells an Alertmanager, or each member of its cluster, directly, as Prometheus does: alerts are said again while they
 * last, and end at a time.
 */
export function connectAlertmanager(options: AlertmanagerOptions): Channel {
  const { urls, link, timeoutMs } = options;
  const headers = authorizationOf(options);
  const tls = followTlsFiles(options.tls, { ...options, owner: "Alertmanager" });
  const tellAll = openCluster(urls, options);
  const post = async (alerts: readonly object[], signal: AbortSignal): Promise<void> => {
    const body = JSON.stringify(alerts);
    await tellAll(async (member) => {
      const trust = options.tls && member.startsWith("https:") ? tls() : undefined;
      const url = `${member}/api/v2/alerts`;
      const receiver = `Alertmanager ${new URL(member).host}`;
      await postJson(receiver, { url, body, headers, signal, timeoutMs, trust });
    });
  };
  const alertOf = (anomaly: Anomaly, status: AlertStatus): object =>
    postableAlert(anomaly, status, link?.(anomaly.id));
  return {
    name: "alertmanager",
    post: async (anomaly, status, signal) => post([alertOf(anomaly, status)], signal),
    repeat: async (open, signal) => {
      for (let at = 0; at < open.length; at += BATCH_ALERTS) {
        const batch = open.slice(at, at + BATCH_ALERTS);
        await post(
          batch.map((anomaly) => alertOf(anomaly, "firing")),
          signal,
        );
      }
    },
  };
}

/** The same labels as in the frame for runbooks: both ways give one alert. `endsAt` is the wall clock's. */
function postableAlert(anomaly: Anomaly, status: AlertStatus, link: string | undefined): object {
  const [{ labels, annotations, startsAt, endsAt }] = frameOf(anomaly, status).alerts;
  const aliveUntil = Math.max(systemClock.now().getTime(), anomaly.openedAt) + ALIVE_MS;
  return {
    labels,
    annotations,
    startsAt,
    endsAt: status === "firing" ? new Date(aliveUntil).toISOString() : endsAt,
    ...(link === undefined ? {} : { generatorURL: link }),
  };
}
