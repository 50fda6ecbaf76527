import type { ObservingAccess } from "../config-observing.ts";
import { covers } from "../permissions.ts";
import type { ProxyTarget, Verdict } from "./types.ts";

export interface TargetOptions {
  /** Headers of Grafana's auth proxy. */
  readonly userHeader: string;
  readonly roleHeader: string;
}

/** What is shown under `/grafana`, `/prometheus` and `/loki`. */
export function proxyTargets(
  { grafana, prometheus, loki }: ObservingAccess,
  { userHeader, roleHeader }: TargetOptions,
): readonly ProxyTarget[] {
  return [
    {
      name: "Grafana",
      prefix: "/grafana",
      access: grafana,
      permission: "dashboards:read",
      judge: judgeGrafana,
      identity: ({ name, via, permissions }) => ({
        // Else a token with few rights would have its owner's there, or take them from its owner.
        [userHeader]: via === "api-token" ? `${name}+token` : name,
        [roleHeader]: covers(permissions, "system:write") ? "Admin" : "Viewer",
      }),
    },
    {
      name: "Prometheus",
      prefix: "/prometheus",
      access: prometheus,
      permission: "metrics:read",
      judge: judgePrometheus,
      identity: () => ({}),
    },
    {
      name: "Loki",
      prefix: "/loki",
      access: loki,
      permission: "logs:read",
      judge: judgeLoki,
      identity: () => ({}),
    },
  ];
}

/** Panels ask by POST. */
const GRAFANA_READS = /^\/api\/(ds\/query|tsdb\/query|frontend-metrics|annotations\/query)$/;

function judgeGrafana(method: string, path: string): Verdict {
  return isRead(method) || (method === "POST" && GRAFANA_READS.test(path)) ? "read" : "change";
}

const PROMETHEUS_POSTS =
  /^\/api\/v1\/(query|query_range|query_exemplars|series|labels|format_query|parse_query)$/;
/** Ends or reloads it, deletes series, takes samples, shows its memory. */
const PROMETHEUS_CLOSED = /^\/(-\/(?!healthy$|ready$)|api\/v1\/(admin|write|otlp)|debug)/;

function judgePrometheus(method: string, path: string): Verdict {
  // Empty segments are left out by some.
  if (PROMETHEUS_CLOSED.test(path) || path.includes("//")) return "no";
  return isRead(method) || (method === "POST" && PROMETHEUS_POSTS.test(path)) ? "read" : "no";
}

/** Loki pushes, deletes, flushes and shows its configuration on the same port: only the questions are passed on. */
const LOKI_QUESTIONS =
  /^\/(ready|loki\/api\/v1\/(query|query_range|labels?|label\/[\w%.:-]+\/values|series|tail|format_query|patterns|detected_(labels|fields)|index\/(stats|volume|volume_range)|status\/buildinfo))$/;

function judgeLoki(method: string, path: string): Verdict {
  return (isRead(method) || method === "POST") && LOKI_QUESTIONS.test(path) ? "read" : "no";
}

function isRead(method: string): boolean {
  return ["GET", "HEAD", "OPTIONS"].includes(method);
}
