import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { startRecorder, type Recorder } from "../../../hypervisor/events/record-events.ts";
import { findEvents } from "../../../hypervisor/events/table.ts";
import type { PlatformEvent } from "../../../hypervisor/types.ts";
import { systemClock } from "../../../lib/clock.ts";
import { silentLog } from "../../../lib/log.ts";
import { createRegistry } from "../../../lib/metrics.ts";
import type { Database } from "../../../lib/postgres.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";

const EVENT: PlatformEvent = {
  type: "Normal",
  reason: "VMStarted",
  message: "VM web was started by ana",
  kind: "VM",
  name: "web",
  namespace: "",
};

let own: TestDatabase;
let database: Database;
let down: boolean;
let metrics: () => Promise<string>;
let recorder: Recorder;

beforeEach(async () => {
  own = await createTestDatabase();
  database = openTestDatabase(own.url);
  down = false;
  const registry = createRegistry("hypervisor");
  metrics = async () => registry.metrics();
  recorder = startRecorder({
    database: {
      query: async (sql, values) => {
        if (down) throw new Error("no database");
        return database.query(sql, values);
      },
    },
    mirror: undefined,
    clock: systemClock,
    log: silentLog,
    registry,
    ttlSeconds: 600,
  });
});
afterEach(async () => {
  await recorder.stop();
  await database.close();
  await own.drop();
});

async function stored() {
  const all = { organization: undefined, username: undefined };
  return findEvents(database, { limit: 200, page: 1 }, all, 600);
}

test("an event that cannot be recorded fails nothing, waits, and is there when the database is", async () => {
  down = true;
  for (let at = 0; at < 5; at += 1) await recorder.record(EVENT);
  await waitUntil("a failure to be counted", async () =>
    /events_failed_total\{to="database".*\} [1-9]/.test(await metrics()),
  );
  expect((await stored()).total).toBe(0);

  down = false;
  await waitUntil("the event", async () => (await stored()).total === 1);
  expect((await stored()).events[0]).toMatchObject({ count: 5, reason: "VMStarted" });
  expect(await metrics()).toContain('arm_hypervisor_events_recorded_total{service="hypervisor"} 5');
});

test("no more than a thousand different ones wait, and what is forgotten is counted", async () => {
  down = true;
  for (let at = 0; at < 1_100; at += 1)
    await recorder.record({ ...EVENT, name: `web-${at}`, message: "x".repeat(5_000) });
  expect(await metrics()).toMatch(/events_dropped_total\{to="database".*\} \d+/);

  down = false;
  await recorder.stop();
  const { total, events } = await stored();
  const dropped = Number(
    /events_dropped_total\{to="database".*\} (\d+)/.exec(await metrics())?.[1],
  );
  expect(total + dropped).toBe(1_100);
  expect(events[0]?.message).toHaveLength(1_024);
});

test("what still waits is written when the service stops", async () => {
  await recorder.record(EVENT);
  await recorder.record({ ...EVENT, message: "a\0b \uD800" });
  await recorder.stop();

  expect((await stored()).events.map(({ message }) => message).toSorted()).toEqual([
    "VM web was started by ana",
    "a\uFFFDb \uFFFD",
  ]);
});
