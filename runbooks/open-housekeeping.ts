import type { Registry } from "prom-client";
import { systemClock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import type { AdmitDeps } from "./admit.ts";
import type { RunbooksConfig } from "./config.ts";
import { openAudit } from "./open-audit.ts";
import { reconcileUntil, type ActiveAlerts } from "./reconcile.ts";
import { retainUntil } from "./retention.ts";

/** What the executor does beside its jobs. @param alertmanager undefined when there is none to ask */
export async function startHousekeeping(
  config: RunbooksConfig,
  shared: { readonly database: Database; readonly log: Log; readonly registry: Registry },
  {
    admitDeps,
    alertmanager,
  }: { readonly admitDeps: AdmitDeps; readonly alertmanager: ActiveAlerts | undefined },
  stack: StopStack,
): Promise<void> {
  const { inboxDays, episodeDays } = config;
  await openAudit(config, shared, stack);
  const stopping = new AbortController();
  const { database, log } = shared;
  const deps = { database, log, clock: systemClock };
  const working = [
    retainUntil(stopping.signal, { ...deps, inboxDays, episodeDays }),
    ...(alertmanager === undefined
      ? []
      : [reconcileUntil(stopping.signal, { ...deps, admitDeps, alertmanager })]),
  ];
  stack.add("housekeeping", async () => {
    stopping.abort();
    await Promise.all(working);
  });
}
