import type { Environment } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import {
  listAlerts,
  listQuarantine,
  retryQuarantined,
  showAlert,
  type AlertDetail,
  type AlertSummary,
  type QuarantinedDelivery,
  type RetryOutcome,
} from "../alerts.ts";
import { withDatabase } from "./with-database.ts";

/** `fettle alerts ls` */
export async function alerts(
  env: Environment,
  options: { readonly limit: number; readonly all: boolean },
  log: Log,
): Promise<readonly AlertSummary[]> {
  return withDatabase(env, log, async (database) => listAlerts(database, options));
}

/** `fettle alerts show`; undefined when there is none. */
export async function alert(
  env: Environment,
  id: string,
  log: Log,
): Promise<AlertDetail | undefined> {
  return withDatabase(env, log, async (database) => showAlert(database, id));
}

/** `fettle alerts quarantine` */
export async function quarantine(
  env: Environment,
  limit: number,
  log: Log,
): Promise<readonly QuarantinedDelivery[]> {
  return withDatabase(env, log, async (database) => listQuarantine(database, limit));
}

/** `fettle alerts retry` */
export async function retryDelivery(env: Environment, id: string, log: Log): Promise<RetryOutcome> {
  return withDatabase(env, log, async (database) => retryQuarantined(database, id));
}
