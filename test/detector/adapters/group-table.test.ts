import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openFencedStore } from "../../../detector/adapters/fenced-store.ts";
import { LOCKS_END, openGroupTable } from "../../../detector/adapters/group-table.ts";
import { openStore } from "../../../detector/adapters/postgres.ts";
import type { GroupTable, HeldGroup } from "../../../detector/types/groups.ts";
import { messageOf } from "../../../lib/error.ts";
import type { Database } from "../../../lib/postgres.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { anomaly, MAILING } from "../given-anomaly.ts";

const LONG_MS = 60_000;

let server: TestDatabase;
let database: Database;
beforeAll(async () => {
  server = await createTestDatabase();
  database = openTestDatabase(server.url);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

/** A replica that owns a group from now on. */
async function givenOwner(
  replica: string,
  metric: string,
  leaseMs = LONG_MS,
): Promise<{ readonly table: GroupTable; readonly held: HeldGroup }> {
  const table = openGroupTable(database, { replica, leaseMs });
  await table.beat([metric], []);
  const epoch = await table.take(metric, { abandoned: true });
  if (epoch === undefined) throw new Error(`${replica} did not get ${metric}`);
  return { table, held: { metric, epoch } };
}

test("of 32 replicas that want a group at once one gets it", async () => {
  const tables = Array.from({ length: 32 }, (_, at) =>
    openGroupTable(database, { replica: `race${at}`, leaseMs: LONG_MS }),
  );
  await Promise.all(tables.map(async (table) => table.beat(["race", "race2"], [])));

  const epochs = await Promise.all(
    tables.map(async (table) => table.take("race", { abandoned: true })),
  );

  expect(epochs.filter((epoch) => epoch !== undefined)).toEqual(["1"]);
});

test("an owner keeps a lease that ran out while nobody took it; after a takeover it has nothing left", async () => {
  const { table, held } = await givenOwner("slow", "late", 50);
  await sleep(100);
  expect((await table.beat(["late"], [held])).held).toEqual(["late"]);
  await sleep(100);

  const other = await givenOwner("fast", "late");

  expect(Number(other.held.epoch)).toBeGreaterThan(Number(held.epoch));
  expect((await table.beat(["late"], [held])).held).toEqual([]);
  await table.release(held);
  expect((await other.table.beat(["late"], [other.held])).held).toEqual(["late"]);
});

test("who pauses for half a lease is a newcomer again; a lease later it is settled, and after ten it is gone", async () => {
  const leaseMs = 2_000; // half of it is more than a busy machine pauses
  const table = openGroupTable(database, { replica: "pausing", leaseMs });
  const look = async () =>
    (await table.beat([], [])).replicas.find(({ id }) => id === "pausing")?.settled;
  const beatFor = async (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end;) await look();
  };

  expect(await look()).toBe(false);
  await beatFor(leaseMs + 50);
  expect(await look()).toBe(true);
  await sleep(leaseMs / 2 + 50);
  expect(await look()).toBe(false);
  await sleep(leaseMs + 50);
  const other = openGroupTable(database, { replica: "other", leaseMs });
  expect((await other.beat([], [])).replicas.map(({ id }) => id)).not.toContain("pausing");
});

test("a replica that leaves releases its groups, and nobody waits for its leases", async () => {
  const { table } = await givenOwner("leaving", "left");
  await table.leave();

  const next = openGroupTable(database, { replica: "next", leaseMs: LONG_MS });
  const { replicas, groups } = await next.beat(["left"], []);

  expect(replicas.map(({ id }) => id)).not.toContain("leaving");
  expect(groups.find(({ metric }) => metric === "left")).toMatchObject({ abandoned: false });
  expect(await next.take("left", { abandoned: false })).toBe("2");
});

test("a former owner's writes hit nothing: no row, no mail, no end, no progress", async () => {
  const former = await givenOwner("former", "fenced", 20);
  const store = openFencedStore(database, ["slack"], "former");
  const { epoch } = former.held;
  const known = anomaly({ id: "known", metric: "fenced" });
  const at = { name: "fenced", expr: "x", evaluatedUntil: 2_000 };
  expect(await store.open(known, MAILING, epoch)).toBe("opened");
  await store.saveProgress([{ ...at, epoch }], []);
  await sleep(50);
  await givenOwner("heir", "fenced");

  const end = { closedAt: known.openedAt + 9e5, closeCause: "recovered" } as const;
  const late = anomaly({ id: "late", metric: "fenced", series: "bbbbbbbbbbbb" });
  const seen = { id: "known", metric: "fenced", lastSeenAt: known.lastSeenAt + 1e6 };
  expect(await store.open(late, MAILING, epoch)).toBe("not_owner");
  expect(await store.close({ ...known, ...end }, MAILING, epoch)).toBe("not_owner");
  await store.saveProgress([{ ...at, evaluatedUntil: 1_000, epoch }], [seen]);

  const { evaluatedUntil, open } = await openStore(database).resume({ name: "fenced", expr: "x" });
  expect(evaluatedUntil).toBe(2_000);
  expect(open).toMatchObject([{ id: "known", lastSeenAt: known.lastSeenAt }]);
  const mails = "SELECT status FROM aiops_outbox WHERE anomaly_id IN ('known', 'late')";
  expect((await database.query(mails)).rows).toEqual([{ status: "firing" }]);
});

test("a tenure that ended is not the next one: neither a released group nor one that was taken again can be written", async () => {
  const { table, held } = await givenOwner("returning", "again");
  const store = openFencedStore(database, [], "returning");
  const write = async ({ epoch }: HeldGroup, id: string) =>
    store.open(anomaly({ id, metric: "again", series: id }), MAILING, epoch);
  await table.release(held);
  expect(await write(held, "released")).toBe("not_owner");

  const later = await givenOwner("returning", "again");

  expect(await write(held, "old")).toBe("not_owner");
  expect(await write(later.held, "new")).toBe("opened");
});

test("a write that meets a takeover either comes first, and the heir sees it, or hits nothing", async () => {
  const seen = { first: 0, second: 0 };
  for (let round = 0; round < 40; round += 1) {
    const metric = `meet${round}`;
    const { held } = await givenOwner("former", metric, 0);
    const store = openFencedStore(database, [], "former");
    const takeOver = async () => {
      if (round % 2 === 0) await sleep(2);
      await givenOwner("heir", metric);
      return openStore(database).resume({ name: metric, expr: "x" });
    };
    const [outcome, { open }] = await Promise.all([
      store.open(anomaly({ id: metric, metric }), MAILING, held.epoch),
      takeOver(),
    ]);

    seen[outcome === "opened" ? "first" : "second"] += 1;
    expect(open.map(({ id }) => id)).toEqual(outcome === "opened" ? [metric] : []);
  }
  expect(seen.first).toBeGreaterThan(0);
});

test("a process that freezes in mid-transaction holds a group for some seconds, not for good", async () => {
  const { held } = await givenOwner("frozen", "locked", 20);
  const frozen = database
    .inTransaction(async (tx) => {
      const lock = `SELECT metric, ${LOCKS_END} FROM aiops_groups WHERE metric = $1 FOR SHARE`;
      await tx.query(lock, [held.metric]);
      await sleep(8_000);
      await tx.query("SELECT 1");
    })
    .catch(messageOf);

  await waitUntil("the takeover", async () =>
    givenOwner("heir", "locked").then(
      () => true,
      () => false,
    ),
  );

  expect(await frozen).toMatch(/connection error|idle-in-transaction|terminat/);
});
