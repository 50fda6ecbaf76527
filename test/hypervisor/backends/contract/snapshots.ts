import { expect, test } from "@jest/globals";
import { at, kindOf, LIMIT_MS, type Subject } from "./subject.ts";

const LIMITS = { cpus: 1, diskBytes: 2 ** 30 };

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function snapshotsContract(subject: Subject): void {
  test(
    "takes snapshots, puts the files back, and makes clones of them",
    async () => {
      const { snapshots, containers } = subject.backend();
      const first = await subject.running("snapped", { labels: { tier: "web" }, ...LIMITS });
      await subject.shell("snapped", "echo one > /root/state");
      const taken = await snapshots.create({ ...at("snapped"), snapshot: "s1", comment: "good" });
      await subject.shell("snapped", "echo two > /root/state");
      await snapshots.create({ ...at("snapped"), snapshot: "s2" });

      expect(taken).toMatchObject({ container: "snapped", name: "s1", comment: "good" });
      expect(Date.parse(taken.createdAt)).toBeGreaterThanOrEqual(Date.parse(first.createdAt));
      expect(await snapshots.list(at("snapped"))).toMatchObject([
        { name: "s1", comment: "good" },
        { name: "s2", comment: "" },
      ]);
      expect(await kindOf(snapshots.create({ ...at("snapped"), snapshot: "s1" }))).toBe("conflict");
      const restored = await snapshots.restore({ ...at("snapped"), snapshot: "s1" });
      expect(first).toMatchObject(LIMITS);
      expect(restored).toMatchObject({ status: "running", labels: { tier: "web" }, ...LIMITS });
      expect(await subject.printed("snapped", "cat /root/state")).toBe("one");
      const clone = { ...at("snapped"), snapshot: "s2", newName: "copied" };
      expect(await snapshots.clone(clone)).toMatchObject({
        name: "copied",
        status: "stopped",
        labels: { tier: "web" },
        ...LIMITS,
      });
      expect(await kindOf(snapshots.clone(clone))).toBe("conflict");
      await snapshots.remove({ ...at("snapped"), snapshot: "s2" });
      expect(await snapshots.list(at("snapped"))).toMatchObject([{ name: "s1" }]);
      await containers.act({ ...at("copied"), action: "start" });
      expect(await subject.printed("copied", "cat /root/state")).toBe("two");
      expect(await snapshots.list(at("copied"))).toEqual([]);
      await subject.remove("snapped", "copied");
      // A new one under the name does not inherit the snapshots of the old.
      await subject.create("snapped");
      expect(await snapshots.list(at("snapped"))).toEqual([]);
      await subject.remove("snapped");
    },
    LIMIT_MS,
  );
}
