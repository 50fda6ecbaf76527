import { aiops, aiopsXai } from "./boards/aiops.ts";
import { ciCd, securityEvents } from "./boards/delivery.ts";
import { budgets, businessKpis, costs } from "./boards/money.ts";
import {
  apiPerformance,
  cachePerformance,
  databasePerformance,
  systemResources,
  userActivity,
} from "./boards/performance.ts";
import { alerts, drBackups, slos } from "./boards/reliability.ts";
import { runbooksAudit, workflows, workflowsAdvanced } from "./boards/runbooks.ts";
import type { Board } from "./panels.ts";

/** Every dashboard that is shipped. */
export const boards: readonly Board[] = [
  drBackups,
  alerts,
  ciCd,
  securityEvents,
  costs,
  budgets,
  slos,
  businessKpis,
  aiops,
  aiopsXai,
  runbooksAudit,
  apiPerformance,
  databasePerformance,
  cachePerformance,
  userActivity,
  systemResources,
  workflows,
  workflowsAdvanced,
];
