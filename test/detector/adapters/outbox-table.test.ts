import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openOutboxTable } from "../../../detector/adapters/outbox-table.ts";
import { openStore } from "../../../detector/adapters/postgres.ts";
import type { ChannelName, Mailbox } from "../../../detector/types/delivery.ts";
import type { AnomalyStore } from "../../../detector/types/store.ts";
import { silentLog } from "../../../lib/log.ts";
import { openDatabase, type Database } from "../../../lib/postgres.ts";
import { createTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { anomaly, delivery, MAILING } from "../given-anomaly.ts";

let server: TestDatabase;
let database: Database;
let mailbox: Mailbox;
beforeAll(async () => {
  server = await createTestDatabase();
  const options = { url: server.url, applicationName: "test-detector", max: 20 };
  database = openDatabase(options, silentLog);
  mailbox = openOutboxTable(database);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

function storeFor(...channels: readonly ChannelName[]): AnomalyStore {
  return openStore(database, channels);
}

const END = { closedAt: anomaly().openedAt + 60_000, closeCause: "recovered" } as const;

async function drain(channel: ChannelName): Promise<string[]> {
  const seen: string[] = [];
  for (let next = await mailbox.take(channel); next; next = await mailbox.take(channel)) {
    seen.push(`${next.status} ${next.anomaly.id}`);
    await mailbox.settle(next, "delivered");
  }
  return seen;
}

test("the row and its news are written together, once per channel; a second opener writes neither", async () => {
  const store = storeFor("slack", "discord");
  const first = anomaly({ id: "o1", metric: "o1" });
  await store.open(first, { ...MAILING, traceparent: "00-a-b-01" });
  await store.open({ ...first, id: "o1-by-another" }, MAILING);

  const taken = await mailbox.take("slack");

  expect(taken).toMatchObject({
    channel: "slack",
    status: "firing",
    traceparent: "00-a-b-01",
    attempts: 1,
  });
  expect(taken?.anomaly).toEqual(JSON.parse(JSON.stringify(first)));
  expect(taken?.ageMs).toBeLessThan(30_000);
  expect(await drain("discord")).toEqual(["firing o1"]);
  expect(await drain("pagerduty")).toEqual([]);
});

test("the end waits until the beginning is settled", async () => {
  const store = storeFor("pagerduty");
  const one = anomaly({ id: "o2", metric: "o2" });
  await store.open(one, MAILING);
  await store.close({ ...one, ...END }, MAILING);

  const beginning = await mailbox.take("pagerduty");
  expect(beginning?.status).toBe("firing");
  expect(await mailbox.take("pagerduty")).toBeUndefined();
  if (beginning !== undefined) await mailbox.settle(beginning, "refused");

  expect(await mailbox.take("pagerduty")).toMatchObject({
    status: "resolved",
    anomaly: { closeCause: "recovered" },
  });
});

test("64 takers at once get each alert once", async () => {
  const store = storeFor("discord");
  for (let index = 0; index < 20; index += 1) {
    await store.open(anomaly({ id: `race${index}`, metric: `race${index}` }), MAILING);
  }

  const taken = await Promise.all(Array.from({ length: 64 }, async () => mailbox.take("discord")));

  const ids = taken.flatMap((one) => one?.anomaly.id ?? []);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(0);
  await database.query("UPDATE aiops_outbox SET next_at = now() WHERE settled_at IS NULL");
  const rest = await drain("discord");
  expect(rest).toHaveLength(20);
});

test("what a killed process had taken is taken by another one after its lease", async () => {
  await storeFor("alertmanager").open(anomaly({ id: "o3", metric: "o3" }), MAILING);
  expect(await mailbox.take("alertmanager")).toMatchObject({
    channel: "alertmanager",
    attempts: 1,
  });
  expect(await mailbox.take("alertmanager")).toBeUndefined();

  await database.query("UPDATE aiops_outbox SET next_at = next_at - interval '31 seconds'");

  expect(await mailbox.take("alertmanager")).toMatchObject({ attempts: 2 });
});

test("a retry waits as long as it is told, with the reason", async () => {
  await storeFor("runbooks").open(anomaly({ id: "o4", metric: "o4" }), MAILING);
  const taken = await mailbox.take("runbooks");
  if (taken === undefined) throw new Error("nothing taken");
  await mailbox.retry(taken, 60_000, "Slack answered 503");

  expect(await mailbox.take("runbooks")).toBeUndefined();
  const { rows } = await database.query<{ seconds: number; last_error: string }>(
    "SELECT extract(epoch FROM next_at - now())::float8 AS seconds, last_error FROM aiops_outbox WHERE anomaly_id = 'o4'",
  );
  expect(rows[0]?.seconds).toBeGreaterThan(55);
  expect(rows[0]?.last_error).toBe("Slack answered 503");
});

test("the anomaly keeps when its news was taken, not when it was refused", async () => {
  const store = storeFor("slack");
  for (const id of ["o5", "o6"]) await store.open(anomaly({ id, metric: id }), MAILING);
  await database.query(
    "UPDATE aiops_outbox SET settled_at = now(), result = 'refused' WHERE anomaly_id NOT IN ('o5', 'o6') AND settled_at IS NULL",
  );
  for (const result of ["delivered", "refused"] as const) {
    const taken = await mailbox.take("slack");
    if (taken !== undefined) await mailbox.settle(taken, result);
  }

  const { rows } = await database.query<{ id: string; published: boolean }>(
    "SELECT id, published_at IS NOT NULL AS published FROM aiops_anomalies WHERE id IN ('o5', 'o6') ORDER BY id",
  );
  expect(rows).toEqual([
    { id: "o5", published: true },
    { id: "o6", published: false },
  ]);
});

test("news that was sent from memory meanwhile is not due a minute long, and settled by its name", async () => {
  const store = storeFor("slack");
  const late = anomaly({ id: "o7", metric: "o7" });
  await store.open(late, { ...MAILING, headStartMs: 60_000 });

  expect(await mailbox.take("slack")).toBeUndefined();
  await store.settle(delivery(late), "delivered");
  await database.query("UPDATE aiops_outbox SET next_at = now()");

  expect(await drain("slack")).toEqual([]);
});

test("the sweep gives up what nobody asks for, and forgets what is long over", async () => {
  await storeFor("slack", "discord").open(anomaly({ id: "o8", metric: "o8" }), MAILING);
  await database.query(
    "UPDATE aiops_outbox SET created_at = now() - interval '26 hours' WHERE channel = 'slack' AND anomaly_id = 'o8'",
  );
  await database.query(
    "UPDATE aiops_outbox SET settled_at = now() - interval '31 days', result = 'delivered' WHERE channel = 'discord' AND anomaly_id = 'o8'",
  );

  await mailbox.sweep();

  const { rows } = await database.query(
    "SELECT channel, result FROM aiops_outbox WHERE anomaly_id = 'o8'",
  );
  expect(rows).toEqual([{ channel: "slack", result: "gave_up" }]);
});
