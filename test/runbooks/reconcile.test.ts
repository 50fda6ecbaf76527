import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { systemClock } from "../../lib/clock.ts";
import { silentLog } from "../../lib/log.ts";
import type { Database } from "../../lib/postgres.ts";
import { alertmanagerAlerts } from "../../runbooks/adapters/alertmanager.ts";
import { reconcile, reconcileUntil, type ListedAlert } from "../../runbooks/reconcile.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startAlertmanager } from "../servers/alertmanager.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenIntake } from "./given-intake.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const LONG_AGO = new Date("2026-11-01T00:00:00Z");

function listed(namespace: string, active = true): ListedAlert {
  const labels = { alertname: "AIOpsAnomalyDetected", namespace, app: "checkout" };
  const startsAt = "2026-11-21T03:00:00.000Z";
  return { fingerprint: `${namespace}-1`, labels, annotations: {}, startsAt, active };
}

/** Rounds in which Alertmanager lists these alerts, one after the other; those of other tests are over. */
async function rounds(
  namespace: string,
  answers: readonly (readonly ListedAlert[])[],
  upSince = LONG_AGO,
): Promise<void> {
  await database.query(
    "UPDATE episodes SET resolved_at = now() WHERE resolved_at IS NULL AND fingerprint <> $1",
    [`${namespace}-1`],
  );
  const { deps: admitDeps } = givenIntake(database, namespace);
  let differing: ReadonlyMap<string, number> = new Map();
  for (const alerts of answers) {
    const alertmanager = { list: async () => ({ upSince, alerts }) };
    const deps = { database, clock: systemClock, log: silentLog, admitDeps, alertmanager };
    differing = await reconcile(differing, deps);
  }
}

async function episodesOf(namespace: string): Promise<unknown> {
  const { rows } = await database.query(
    "SELECT resolved_by FROM episodes WHERE fingerprint = $1 ORDER BY id",
    [`${namespace}-1`],
  );
  return rows.map(({ resolved_by: by }) => by ?? "open");
}

test("an alert that was never told is opened in the second round, with its run", async () => {
  await rounds("once", [[listed("once")]]);
  expect(await episodesOf("once")).toEqual([]);

  await rounds("missed", [[listed("missed")], [listed("missed")], [listed("missed")]]);
  expect(await episodesOf("missed")).toEqual(["open"]);
  expect(await givenIntake(database, "missed").runs()).toHaveLength(1);
});

test("an alert that is silenced is not opened, and one that became silenced is not closed", async () => {
  await rounds("silenced", [[listed("silenced", false)], [listed("silenced", false)]]);
  expect(await episodesOf("silenced")).toEqual([]);

  await givenOld("quiet");
  await rounds("quiet", [[listed("quiet", false)], [listed("quiet", false)]]);
  expect(await episodesOf("quiet")).toEqual(["open"]);
});

async function givenOld(namespace: string): Promise<void> {
  await givenIntake(database, namespace).deliver([{}]);
  await database.query(
    "UPDATE episodes SET last_seen_at = now() - interval '1 hour' WHERE fingerprint = $1",
    [`${namespace}-1`],
  );
}

test("an alert that is gone for two rounds is closed, and its run is told", async () => {
  await givenOld("gone");
  const intake = givenIntake(database, "gone");

  await rounds("gone", [[], []]);

  expect(await episodesOf("gone")).toEqual(["reconcile"]);
  const { rows } = await database.query(
    "SELECT look_at <= now() AS due FROM runs WHERE namespace = 'gone'",
  );
  expect(rows).toEqual([{ due: true }]);
  expect(await intake.runs()).toHaveLength(1);
});

test.each<[string, () => Promise<void>]>([
  [
    "gone for one round",
    async () => {
      await givenOld("a");
      await rounds("a", [[], [listed("a")], []]);
    },
  ],
  [
    "told of a moment ago",
    async () => {
      await givenIntake(database, "b").deliver([{}]);
      await rounds("b", [[], [], []]);
    },
  ],
  [
    "unknown to an Alertmanager that has just started",
    async () => {
      await givenOld("c");
      await rounds("c", [[], [], []], new Date());
    },
  ],
])("an alert that is %s is not closed", async (_name, happen) => {
  await happen();

  const { rowCount } = await database.query(
    "SELECT 1 FROM episodes WHERE fingerprint IN ('a-1', 'b-1', 'c-1') AND resolved_by = 'reconcile'",
  );
  expect(rowCount).toBe(0);
});

test("a real Alertmanager lists what is routed to us, and only that", async () => {
  const alertmanager = await startAlertmanager({
    config: `
route: { receiver: other, routes: [{ receiver: fettle, matchers: ['team="us"'] }] }
receivers: [{ name: fettle }, { name: other }]
`,
  });
  try {
    const labels = { alertname: "A", namespace: "shop" };
    await fetch(`${alertmanager.url}/api/v2/alerts`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([{ labels: { ...labels, team: "us" } }, { labels }]),
    });
    const { url } = alertmanager;
    const adapter = alertmanagerAlerts({ url, receiver: "fettle", token: undefined });
    await waitUntil("the alert", async () => (await adapter.list()).alerts.length > 0);

    const { alerts, upSince } = await adapter.list();
    // Under a wrong name nothing would fire, and every alert would be taken to be over.
    const misnamed = alertmanagerAlerts({ url, receiver: "fettle-x", token: undefined });
    await expect(misnamed.list()).rejects.toThrow('no receiver "fettle-x" (it has fettle, other)');

    expect(alerts).toMatchObject([
      { labels: { team: "us" }, fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) },
    ]);
    expect(Math.abs(Date.now() - upSince.getTime())).toBeLessThan(600_000);
  } finally {
    await alertmanager.stop();
  }
});

test("an Alertmanager that does not answer changes nothing, and is asked again", async () => {
  const stop = new AbortController();
  let asked = 0;
  const reconciling = reconcileUntil(stop.signal, {
    database,
    log: silentLog,
    admitDeps: givenIntake(database, "down").deps,
    clock: { now: () => new Date(), sleep: async () => sleep(5) },
    alertmanager: {
      list: async () => {
        asked += 1;
        if (asked >= 3) stop.abort();
        throw new Error("no answer");
      },
    },
  });

  await reconciling;

  expect(asked).toBe(3);
});
