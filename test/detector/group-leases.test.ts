import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { GroupLeases } from "../../detector/group-leases.ts";
import { silentLog } from "../../lib/log.ts";
import { fakeClock } from "../fakes/clock.ts";
import { fakeGroups, type FakeGroups } from "../fakes/group-table.ts";

const BEAT_MS = 1_000;
/** Half of it is what `confirm` calls old, on the monotonic clock. */
const LEASE_MS = 100;

interface Given {
  readonly leases: GroupLeases;
  readonly counted: { takeovers: number };
  readonly beat: () => Promise<void>;
}

async function given(groups: FakeGroups | undefined, replica = "me"): Promise<Given> {
  const clock = fakeClock("2026-11-20T00:00:00Z");
  const counted = { takeovers: 0 };
  const leases = new GroupLeases({
    table: groups?.tableOf(replica),
    replica,
    metrics: ["a", "b"],
    times: { leaseMs: LEASE_MS, beatMs: BEAT_MS },
    clock,
    log: silentLog,
    counted: { takeover: () => void (counted.takeovers += 1) },
  });
  await leases.begin();
  leases.start(() => undefined);
  return { leases, counted, beat: async () => clock.advance(BEAT_MS) };
}

test("without a database everything is ours", async () => {
  const { leases } = await given(undefined);

  expect(leases.places()).toEqual({ here: ["a", "b"], elsewhere: [], nowhere: [] });
  expect(await leases.confirm()).toBe(false);
  await leases.stop();
});

test("two replicas share, and each knows what the other has; who leaves is replaced in the next beat", async () => {
  const groups = fakeGroups();
  const one = await given(groups, "one");
  const two = await given(groups, "two");
  await one.beat();
  await one.leases.handOver(() => false);
  expect(one.leases.places().here).toEqual(["a", "b"]);
  await one.beat();
  await one.leases.handOver(() => true);
  await two.beat();
  await one.beat();

  expect(one.leases.places()).toEqual({ here: ["b"], elsewhere: ["a"], nowhere: [] });
  expect(two.leases.places()).toEqual({ here: ["a"], elsewhere: ["b"], nowhere: [] });
  await one.leases.stop();
  await two.beat();

  expect(two.leases.places().here).toEqual(["a", "b"]);
  expect(two.counted.takeovers).toBe(0);
  await two.leases.stop();
});

test("a dead replica's groups are taken over, and counted; when it comes back it knows that they are not its own", async () => {
  const groups = fakeGroups();
  const dead = await given(groups, "dead");
  const heir = await given(groups, "heir");
  groups.expire("dead");
  await heir.beat();

  expect(heir.leases.places().here).toEqual(["a", "b"]);
  expect(heir.counted.takeovers).toBe(2);
  await dead.beat();

  expect(dead.leases.places().here).toEqual([]);
  expect(dead.leases.tenureOf("a")).toMatchObject({ over: true });
  await heir.leases.stop();
  await dead.beat();
  expect(dead.leases.places().here).toEqual([]); // its memory of them has not been dropped yet

  for (const tenure of dead.leases.tenures) dead.leases.forget(tenure);
  await dead.beat();
  expect(dead.leases.places().here).toEqual(["a", "b"]);
  await dead.leases.stop();
});

test("while the database is down an owner keeps what it owns, and nobody takes anything", async () => {
  const groups = fakeGroups();
  const owner = await given(groups, "owner");
  const other = await given(groups, "other");
  groups.down = true;
  groups.expire("owner");
  await owner.beat();
  await other.beat();
  expect(owner.leases.places().here).toEqual(["a", "b"]);
  expect(other.leases.places().here).toEqual([]);
  expect(owner.leases.fault).toMatchObject({ message: "connect", code: "ECONNREFUSED" });

  groups.down = false;
  await owner.beat();
  await other.beat();

  expect(owner.leases.places().here).toEqual(["a", "b"]);
  expect(owner.leases.tenureOf("a")).toMatchObject({ epoch: "1", over: false });
  expect(owner.leases.fault).toBeUndefined();
  await owner.leases.stop();
  await other.leases.stop();
});

test("a replica that starts without its database owns everything, under no epoch; with it, only what it gets", async () => {
  const groups = fakeGroups();
  const other = await given(groups, "other");
  groups.down = true;
  const late = await given(groups, "late");
  expect(late.leases.places().here).toEqual(["a", "b"]);
  expect(late.leases.tenureOf("a")).toMatchObject({ epoch: undefined, over: false });

  groups.down = false;
  await late.beat();
  expect(late.leases.tenureOf("a")).toMatchObject({ over: true });
  await other.leases.stop();

  groups.down = true;
  const alone = await given(groups, "alone");
  const tenure = alone.leases.tenureOf("a");
  groups.down = false;
  groups.expire("late");
  await alone.beat();

  expect(alone.leases.tenureOf("a")).toBe(tenure);
  expect(tenure).toEqual({ metric: "a", epoch: "2", over: false }); // after 1, that of `other`
  await late.leases.stop();
  await alone.leases.stop();
});

test("a process that was frozen looks who owns its groups before it goes on", async () => {
  const groups = fakeGroups();
  const frozen = await given(groups, "frozen");
  const heir = await given(groups, "heir");
  expect(await frozen.leases.confirm()).toBe(true);
  groups.expire("frozen");
  await heir.beat();
  expect(frozen.leases.places().here).toEqual(["a", "b"]);
  await sleep(LEASE_MS);

  expect(await frozen.leases.confirm()).toBe(true);

  expect(frozen.leases.places().here).toEqual([]);
  await frozen.leases.stop();
  await heir.leases.stop();
});
