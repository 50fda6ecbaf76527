import { createHash } from "node:crypto";
import { Counter, type Registry } from "prom-client";
import type { Clock } from "../../lib/clock.ts";
import { messageOf } from "../../lib/error.ts";
import type { Log } from "../../lib/log.ts";
import type { Queryable } from "../../lib/postgres.ts";
import type { EventSink, PlatformEvent } from "../types.ts";
import { storeEvents, sweepEvents } from "./table.ts";
import type { Batched, EventMirror, StoredEvent } from "./types.ts";

export interface RecorderDeps {
  readonly database: Queryable;
  /** Undefined: there is no cluster to show them in. */
  readonly mirror: EventMirror | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  readonly ttlSeconds: number;
}

export interface Recorder extends EventSink {
  /** Writes what waits, for a short time. */
  stop(): Promise<void>;
}

/** Different events that wait for the database; more are counted and forgotten. */
const WAITING_MAX = 1_000;
const BATCH_MAX = 200;
/** Those that wait for the cluster: it is slower than the database, and shows them only besides. */
const MIRRORED_MAX = 200;
const RETRY_MS = 1_000;
const SWEEP_EVERY_MS = 60_000;
/** An audit row has the whole text. */
const MESSAGE_MAX = 1_024;

interface Counters {
  readonly recorded: Counter;
  readonly failed: Counter<"to">;
  readonly dropped: Counter<"to">;
}

/** Takes events and returns at once; equal ones are counted together. What cannot be recorded is counted, never thrown. */
export function startRecorder(deps: RecorderDeps): Recorder {
  const { clock, database, log, ttlSeconds } = deps;
  const counters = countersIn(deps.registry);
  const waiting = new Map<string, Batched>();
  const shown: StoredEvent[] = [];
  const stopping = new AbortController();
  let woken = new AbortController();
  const write = async (): Promise<boolean> => {
    const batch = [...waiting.values()].slice(0, BATCH_MAX);
    if (batch.length === 0) return true;
    for (const { key } of batch) waiting.delete(key);
    try {
      const stored = await storeEvents(database, batch, ttlSeconds);
      counters.recorded.inc(sum(batch));
      if (deps.mirror !== undefined) enqueue(shown, stored, counters);
      return true;
    } catch (error) {
      counters.failed.inc({ to: "database" }, sum(batch));
      log.warn("events not recorded, tried again", {
        events: batch.length,
        error: messageOf(error),
      });
      for (const each of batch) add(waiting, each, counters);
      return false;
    }
  };
  const writing = async (): Promise<void> => {
    let sweepAt = 0;
    while (!stopping.signal.aborted) {
      woken = new AbortController();
      const written = await write();
      if (performance.now() >= sweepAt) {
        sweepAt = performance.now() + SWEEP_EVERY_MS;
        await sweepEvents(database, ttlSeconds).catch(() => undefined); // the next one will
      }
      if (!written) await clock.sleep(RETRY_MS, stopping.signal);
      else if (waiting.size === 0)
        await clock.sleep(SWEEP_EVERY_MS, AbortSignal.any([woken.signal, stopping.signal]));
    }
    while (waiting.size > 0 && (await write()));
  };
  const mirroring = mirrorAll(deps, shown, { counters, signal: stopping.signal });
  const done = writing();
  return {
    record: async (event) => {
      const now = clock.now();
      add(
        waiting,
        { event: cut(event), key: keyOf(event), count: 1, first: now, last: now },
        counters,
      );
      woken.abort();
      return Promise.resolve();
    },
    stop: async () => {
      stopping.abort();
      await Promise.all([done, mirroring]);
    },
  };
}

function add(waiting: Map<string, Batched>, given: Batched, { dropped }: Counters): void {
  const same = waiting.get(given.key);
  if (same === undefined && waiting.size >= WAITING_MAX) {
    dropped.inc({ to: "database" }, given.count);
    return;
  }
  const count = (same?.count ?? 0) + given.count;
  const first = same !== undefined && same.first < given.first ? same.first : given.first;
  waiting.set(given.key, { ...given, count, first });
}

function enqueue(
  shown: StoredEvent[],
  stored: readonly StoredEvent[],
  { dropped }: Counters,
): void {
  for (const event of stored) {
    if (shown.length < MIRRORED_MAX) shown.push(event);
    else dropped.inc({ to: "kubernetes" });
  }
}

const MIRROR_LOOK_MS = 250;

/** One after the other; each is tried once, as the next of its kind brings the count along. */
async function mirrorAll(
  { mirror, clock, log }: RecorderDeps,
  shown: StoredEvent[],
  { counters, signal }: { readonly counters: Counters; readonly signal: AbortSignal },
): Promise<void> {
  if (mirror === undefined) return;
  while (!signal.aborted) {
    const event = shown.shift();
    if (event === undefined) {
      await clock.sleep(MIRROR_LOOK_MS, signal);
      continue;
    }
    await mirror.show(event).catch((error: unknown) => {
      counters.failed.inc({ to: "kubernetes" });
      log.warn("event not shown in the cluster", { reason: event.reason, error: messageOf(error) });
    });
  }
}

function sum(batch: readonly Batched[]): number {
  return batch.reduce((total, { count }) => total + count, 0);
}

function cut(event: PlatformEvent): PlatformEvent {
  const message = event.message.slice(0, MESSAGE_MAX).toWellFormed().replaceAll("\0", "\uFFFD");
  return { ...event, message };
}

/** Same object, reason and message: one row. Who did it belongs to it, as an organization's users see their own only. */
function keyOf({ type, reason, message, kind, name, namespace, username }: PlatformEvent): string {
  const same = [type, reason, message, kind, name, namespace, username ?? null];
  return createHash("sha256").update(JSON.stringify(same)).digest("hex");
}

function countersIn(registry: Registry): Counters {
  const registers = [registry];
  return {
    recorded: new Counter({
      name: "arm_hypervisor_events_recorded_total",
      help: "Events that are in the table, or were counted into one",
      registers,
    }),
    failed: new Counter({
      name: "arm_hypervisor_events_failed_total",
      help: "Attempts to write events that failed; those to the database are tried again",
      labelNames: ["to"],
      registers,
    }),
    dropped: new Counter({
      name: "arm_hypervisor_events_dropped_total",
      help: "Events forgotten, as too many waited",
      labelNames: ["to"],
      registers,
    }),
  };
}
