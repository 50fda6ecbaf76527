import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { shareOut } from "../../detector/share-out.ts";
import type { GroupView, ReplicaView } from "../../detector/types/groups.ts";

const METRICS = ["a", "b", "c", "d", "e", "f", "g"];

function replica(id: string, change: Partial<ReplicaView> = {}): ReplicaView {
  return { id, metrics: METRICS, settled: true, ...change };
}

function group(metric: string, owner?: string, abandoned = false): GroupView {
  return { metric, owner, abandoned };
}

/** Every replica looks and acts in turn, until nothing changes. @returns how many groups have been given away */
function settle(replicas: readonly ReplicaView[], owners: Map<string, string | undefined>): number {
  let given = 0;
  for (let changed = true; changed;) {
    changed = false;
    for (const { id } of replicas) {
      const groups = [...owners].map(([metric, owner]) => group(metric, owner));
      const { take, give } = shareOut({ replicas, groups }, id);
      for (const metric of give) {
        expect(owners.get(metric)).toBe(id);
        owners.set(metric, undefined);
      }
      for (const metric of take) {
        expect(owners.get(metric)).toBeUndefined();
        owners.set(metric, id);
      }
      given += give.length;
      changed ||= give.length + take.length > 0;
    }
  }
  return given;
}

const anyReplicas = fc.uniqueArray(fc.constantFrom<string[]>("r1", "r2", "r3", "r4", "r5"), {
  minLength: 1,
});

test("whoever comes and goes: every group is owned, and of R replicas nobody has more than ceil(G/R)", () => {
  fc.assert(
    fc.property(fc.array(anyReplicas, { minLength: 1, maxLength: 6 }), (steps) => {
      const owners = new Map<string, string | undefined>(METRICS.map((name) => [name, undefined]));
      for (const present of steps) {
        for (const [metric, owner] of owners) {
          if (owner !== undefined && !present.includes(owner)) owners.set(metric, undefined);
        }
        const replicas = present.map((id) => replica(id));
        settle(replicas, owners);
        const loads = present.map((id) => [...owners.values()].filter((one) => one === id).length);
        expect(loads.reduce((sum, load) => sum + load, 0)).toBe(METRICS.length);
        expect(Math.max(...loads)).toBeLessThanOrEqual(Math.ceil(METRICS.length / present.length));
        expect(settle(replicas, owners)).toBe(0);
      }
    }),
  );
});

test("a newcomer gets its share and no more, and nobody else's groups move", () => {
  const owners = new Map<string, string | undefined>(
    METRICS.map((name, at) => [name, at < 4 ? "r1" : "r2"]),
  );

  expect(settle([replica("r1"), replica("r2"), replica("r3")], owners)).toBe(2);
  expect([...owners.values()].filter((owner) => owner === "r3")).toHaveLength(2);
});

test("who has just come takes what was released, but is given nothing and takes nothing abandoned", () => {
  const newcomer = replica("new", { settled: false });
  const owned = METRICS.slice(1).map((name) => group(name, "old"));

  const released = { replicas: [newcomer], groups: [group("a")] };
  expect(shareOut(released, "new")).toEqual({ take: ["a"], give: [] });
  const abandoned = { replicas: [newcomer], groups: [group("a", undefined, true)] };
  expect(shareOut(abandoned, "new").take).toEqual([]);
  const uneven = { replicas: [newcomer, replica("old")], groups: owned };
  expect(shareOut(uneven, "old").give).toEqual([]);
});

test("a replica gets only what it is configured to watch, and what only it can watch", () => {
  const replicas = [replica("one", { metrics: ["a", "b"] }), replica("two", { metrics: ["b"] })];
  const groups = [group("a"), group("b"), group("nobody's")];

  expect(shareOut({ replicas, groups }, "one").take).toEqual(["a"]);
  expect(shareOut({ replicas, groups }, "two").take).toEqual(["b"]);
});
