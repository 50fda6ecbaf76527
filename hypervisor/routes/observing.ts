import type { Router } from "../frame/router.ts";
import { addDashboardRoutes, type DashboardDeps } from "./dashboards.ts";
import { addLogRoutes, type LogDeps } from "./logs.ts";
import { addMonitoringRoutes, type MonitoringDeps } from "./monitoring.ts";
import { addProxyRoutes, type ProxyDeps } from "./proxy.ts";
import { addRecordingRoutes } from "./recordings.ts";
import type { TerminalDeps } from "./terminal.ts";

export type ObservingDeps = LogDeps &
  MonitoringDeps &
  DashboardDeps &
  ProxyDeps &
  Omit<TerminalDeps, "backend">;

/** Logs, metrics and dashboards, and the servers that have them. */
export function addObservingRoutes(router: Router, deps: ObservingDeps): void {
  addLogRoutes(router, deps);
  addDashboardRoutes(router, deps);
  addMonitoringRoutes(router, deps);
  addProxyRoutes(router, deps);
  addRecordingRoutes(router, deps);
}
