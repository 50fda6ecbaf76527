import { hostname } from "node:os";
import { Gauge, type Registry } from "prom-client";
import { systemClock } from "../lib/clock.ts";
import type { Readiness } from "../lib/http.ts";
import { newId } from "../lib/id.ts";
import type { StopStack } from "../lib/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import type { Database } from "../lib/postgres.ts";
import { databaseReadiness } from "../lib/readiness.ts";
import { version } from "../lib/version.ts";
import type { RunbooksConfig } from "./config.ts";
import { signOnUntil, type ClockCheck } from "./instance.ts";
import { countWaiting } from "./store.ts";

const COUNT_MS = 2_000;

interface InstanceDeps {
  readonly database: Database;
  readonly registry: Registry;
  readonly log: Log;
}

/** Signs this process on until the stack stops. Returns whether it is ready; a wrong clock is said, and forbids nothing. */
export function openInstance(
  { role }: Pick<RunbooksConfig, "role">,
  { database, registry, log }: InstanceDeps,
  stack: StopStack,
): () => Promise<Readiness> {
  let clock: ClockCheck = { ok: true };
  const skew = new Gauge({
    name: "runbooks_clock_skew_seconds",
    help: "This machine's clock less the database's; from 300 on Slack's clicks and signed alerts are refused",
    registers: [registry],
  });
  const writable = new Gauge({
    name: "runbooks_database_writable",
    help: "1: the database took a write within the last ten seconds; 0: nothing can be stored or done",
    registers: [registry],
  });
  const instance = { id: newId("ins"), role, host: hostname(), pid: process.pid, version };
  const stopping = new AbortController();
  const signedOn = signOnUntil(stopping.signal, instance, {
    database,
    clock: systemClock,
    log,
    skewed: (seconds) => {
      skew.set(seconds);
    },
    wrote: (done) => {
      writable.set(done ? 1 : 0);
    },
    onCheck: (check) => {
      clock = check;
    },
  });
  stack.add("instance", async () => {
    stopping.abort();
    await signedOn;
  });
  return async () => {
    const { ready, checks } = await databaseReadiness(database);
    return { ready, checks: { ...checks, clock } };
  };
}

/** Where no sweep counts the inbox: a receiver alone has to know as well when it is full. */
export function countInbox(
  { database, log }: Pick<InstanceDeps, "database" | "log">,
  counted: (deliveries: number) => void,
  stack: StopStack,
): void {
  const stopping = new AbortController();
  const counting = (async () => {
    while (!stopping.signal.aborted) {
      await countWaiting(database).then(counted, (error: unknown) => {
        log.warn("inbox not counted, will be tried again", { error });
      });
      await systemClock.sleep(COUNT_MS, stopping.signal);
    }
  })();
  stack.add("inbox count", async () => {
    stopping.abort();
    await counting;
  });
}
