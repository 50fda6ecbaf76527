import { createHash } from "node:crypto";
import { expect, test } from "@jest/globals";
import Docker from "dockerode";
import { at, kindOf, LIMIT_MS, PROJECT, until, type Subject } from "./subject.ts";

const MEBIBYTE = 2 ** 20;

/** What the engines with Docker's API would do, and must not. */
// eslint-disable-next-line jest/no-export -- the same tests run on several engines
export function engineContract(subject: Subject, socket: () => string): void {
  test(
    "joins no container to what is no bridge: neither the host's network nor another container's",
    async () => {
      const modes = ["host", "none", "default", "private", "container", "no-such-net"];
      const kinds = await Promise.all(
        modes.map(async (bridge) => kindOf(subject.create(`on-${bridge}`, { bridge }))),
      );

      expect(kinds).toEqual([...Array<string>(5).fill("invalid"), "not_found"]);
      const left = await subject.backend().containers.list({ project: PROJECT });
      expect(left.filter(({ name }) => name.startsWith("on-"))).toEqual([]);
    },
    LIMIT_MS,
  );

  test(
    "makes no container from a snapshot, by its name or by any part of its number",
    async () => {
      await subject.create("secret");
      await subject.backend().snapshots.create({ ...at("secret"), snapshot: "s1" });
      const digest = createHash("sha256").update(`${PROJECT}/secret`).digest("hex");
      const name = `localhost/fettle-snapshot/${digest.slice(0, 20)}:s1`;
      const { Id } = await new Docker({ socketPath: socket() }).getImage(name).inspect();
      const number = Id.replace(/^sha256:/, "");
      const references = [
        name,
        number,
        number.slice(0, 12),
        number.slice(0, 8),
        `sha256:${number}`,
      ];
      const kinds: string[] = [];
      for (const image of references) kinds.push(await kindOf(subject.create("thief", { image })));

      expect(kinds).toEqual(references.map(() => "invalid"));
      await subject.remove("secret");
    },
    LIMIT_MS,
  );

  test(
    "gives the newest 4 MiB of a log at most, however many lines are asked for",
    async () => {
      const line = "yes $(head -c 9999 /dev/zero | tr '\\0' x) | head -n 640; echo end";
      await subject.running("loud", { command: ["sh", "-c", line] });
      await until(async () => (await subject.lines("loud", 1)).includes("end"));

      const lines = await subject.lines("loud", 10_000);

      expect(lines.at(-1)).toBe("end");
      const bytes = lines.join("").length;
      expect([bytes > 3 * MEBIBYTE, bytes <= 4 * MEBIBYTE]).toEqual([true, true]);
      await subject.remove("loud");
    },
    LIMIT_MS,
  );
}
