import { expect, test } from "@jest/globals";
import { at, kindOf, LIMIT_MS, PROJECT, type Subject } from "./subject.ts";

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function containersContract(subject: Subject): void {
  test(
    "tells which engine answers",
    async () => {
      const info = await subject.backend().host.info({});

      expect(info.engine).toBe(subject.backend().name);
      expect(info.version).toMatch(/^\d/);
    },
    LIMIT_MS,
  );

  test(
    "creates a stopped container with its limits and labels, and finds it again",
    async () => {
      const made = await subject.create("new-1", {
        cpus: 0.5,
        memoryBytes: 64 * 2 ** 20,
        labels: { team: "blue" },
      });

      expect(made).toMatchObject({
        project: PROJECT,
        name: "new-1",
        status: "stopped",
        image: subject.given().image,
        cpus: 0.5,
        memoryBytes: 64 * 2 ** 20,
        labels: { team: "blue" },
        startedAt: undefined,
      });
      expect(await subject.backend().containers.get(at("new-1"))).toEqual(made);
      expect(await subject.backend().containers.list({ project: PROJECT })).toEqual([made]);
      expect(await subject.backend().containers.list({})).toEqual([made]);
      expect(await subject.backend().containers.list({ project: "elsewhere" })).toEqual([]);
      await subject.remove("new-1");
      expect(await subject.backend().containers.list({ project: PROJECT })).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "refuses what is not there, and a name that is taken",
    async () => {
      await subject.create("taken");
      const { containers, snapshots, logs, terminals } = subject.backend();
      const size = { columns: 80, rows: 24 };
      const kinds = await Promise.all(
        [
          containers.get(at("nobody")),
          containers.act({ ...at("nobody"), action: "start" }),
          containers.remove(at("nobody")),
          containers.update({ ...at("nobody"), cpus: 1 }),
          logs.read({ ...at("nobody"), tail: 1 }),
          terminals.open({ ...at("nobody"), ...size, command: ["sh"] }),
          snapshots.list(at("nobody")),
          snapshots.create({ ...at("nobody"), snapshot: "s" }),
          snapshots.restore({ ...at("taken"), snapshot: "s" }),
          snapshots.remove({ ...at("taken"), snapshot: "s" }),
          snapshots.clone({ ...at("taken"), snapshot: "s", newName: "other" }),
          subject.create("no-image", { image: "absent:1" }),
          subject.create("taken"),
        ].map(kindOf),
      );

      expect(kinds).toEqual([...Array<string>(12).fill("not_found"), "conflict"]);
      await subject.remove("taken");
    },
    LIMIT_MS,
  );

  test(
    "refuses names that would mean something in a path, before anything goes out",
    async () => {
      const hostile = ["..", "../images", "a/b", "a%2fb", "a b", "a?x=1", "a#b", "", "-a", ".a"];
      hostile.push("a\u0000", "a\r\nHost: x", "é", "x".repeat(64));
      const { containers, snapshots, storage, network } = subject.backend();
      const kinds = await Promise.all(
        hostile.flatMap((text) => [
          kindOf(containers.get(at(text))),
          kindOf(containers.get({ project: text, name: "a" })),
          kindOf(containers.remove({ ...at(text), force: true })),
          kindOf(snapshots.remove({ ...at("a"), snapshot: text })),
          kindOf(snapshots.clone({ ...at("a"), snapshot: "s", newName: text })),
          kindOf(storage.removeVolume({ project: PROJECT, pool: text, volume: "v" })),
          kindOf(
            storage.removeVolume({ project: PROJECT, pool: subject.given().pool, volume: text }),
          ),
          kindOf(network.removeBridge({ bridge: text })),
        ]),
      );

      expect(new Set(kinds)).toEqual(new Set(["invalid"]));
    },
    LIMIT_MS,
  );

  test(
    "starts, pauses, resumes, restarts and stops, and does nothing twice",
    async () => {
      await subject.create("cycle");
      const act = async (action: "start" | "stop" | "restart" | "pause" | "resume") =>
        subject.backend().containers.act({ ...at("cycle"), action, graceSeconds: 2 });
      const seen: (readonly [string, string])[] = [];
      const starts = new Set<string | undefined>();
      for (const action of ["start", "start", "pause", "pause", "resume", "resume"] as const) {
        const { status, startedAt } = await act(action);
        seen.push([action, status]);
        starts.add(startedAt);
      }
      const restarted = await act("restart");
      const stopped = [await act("stop"), await act("stop")];

      expect(seen.map(([, status]) => status)).toEqual([
        ...["running", "running", "paused", "paused", "running", "running"],
      ]);
      expect(starts.size).toBe(1); // nothing but a restart moves the start
      expect(restarted.status).toBe("running");
      expect(Date.parse(restarted.startedAt ?? "")).toBeGreaterThan(
        Date.parse([...starts][0] ?? ""),
      );
      expect(stopped).toMatchObject([
        { status: "stopped", startedAt: undefined },
        { status: "stopped", startedAt: undefined },
      ]);
      expect(await kindOf(act("restart"))).toBe("conflict");
      expect(await kindOf(act("pause"))).toBe("conflict");
      await subject.remove("cycle");
    },
    LIMIT_MS,
  );

  test(
    "removes a running container only by force, and a paused one can be stopped",
    async () => {
      await subject.running("stays");

      expect(await kindOf(subject.backend().containers.remove(at("stays")))).toBe("conflict");
      await subject.backend().containers.act({ ...at("stays"), action: "pause" });
      const stop = { ...at("stays"), action: "stop", graceSeconds: 1 } as const;
      expect(await subject.backend().containers.act(stop)).toMatchObject({ status: "stopped" });
      await subject.backend().containers.remove(at("stays"));
      expect(await kindOf(subject.backend().containers.get(at("stays")))).toBe("not_found");
    },
    LIMIT_MS,
  );

  test(
    "lists fifty containers",
    async () => {
      const names = Array.from({ length: 50 }, (_, at) => `many-${String(at).padStart(2, "0")}`);
      const queue = [...names];
      const worker = async () => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift())
          await subject.create(next);
      };
      await Promise.all([worker(), worker(), worker(), worker()]);

      const listed = await subject.backend().containers.list({ project: PROJECT });

      expect(listed.map((each) => each.name)).toEqual(names);
    },
    LIMIT_MS,
  );
}
