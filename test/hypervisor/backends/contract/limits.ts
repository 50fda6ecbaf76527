import { expect, test } from "@jest/globals";
import { at, kindOf, LIMIT_MS, type Subject } from "./subject.ts";

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function limitsContract(subject: Subject): void {
  test(
    "changes the limits of a running container, unless it was changed since",
    async () => {
      const before = await subject.running("limits", { memoryBytes: 64 * 2 ** 20 });
      const change = { ...at("limits"), cpus: 1, memoryBytes: 96 * 2 ** 20 };
      const { containers } = subject.backend();
      const after = await containers.update({ ...change, revision: before.revision });

      expect(after).toMatchObject({ cpus: 1, memoryBytes: 96 * 2 ** 20, status: "running" });
      expect(after.startedAt).toBe(before.startedAt);
      expect(after.revision).not.toBe(before.revision);
      const stale = { ...at("limits"), cpus: 2, revision: before.revision };
      expect(await kindOf(containers.update(stale))).toBe("changed");
      expect(await containers.get(at("limits"))).toMatchObject({ cpus: 1 });
      expect(await containers.update({ ...at("limits"), cpus: 0.5 })).toMatchObject({
        cpus: 0.5,
        memoryBytes: 96 * 2 ** 20,
      });
      await subject.remove("limits");
    },
    LIMIT_MS,
  );
}
