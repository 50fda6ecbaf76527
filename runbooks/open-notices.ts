import type { Registry } from "prom-client";
import { systemClock } from "../lib/clock.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { createNotifyMetrics } from "./notify/metrics.ts";
import { tellUntil } from "./notify/notices.ts";
import type { FanOut } from "./notify/fan-out.ts";
import type { Outbox } from "./types/notice.ts";

interface NoticesDeps {
  readonly database: Database;
  readonly log: Log;
  readonly registry: Registry;
}

/** Starts telling people about runs, until the stack stops. */
export function openNotices(
  { database, log, registry }: NoticesDeps,
  told: FanOut & { readonly outbox: Outbox },
  stack: StopStack,
): void {
  const stopping = new AbortController();
  const metrics = createNotifyMetrics(registry);
  const telling = tellUntil(stopping.signal, {
    ...told,
    ...metrics,
    database,
    log,
    clock: systemClock,
  });
  stack.add("notices", async () => {
    stopping.abort();
    await telling;
  });
}
