import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { answeringProblems } from "../../../../hypervisor/backend-problems.ts";
import type { Claim } from "../../../../hypervisor/operations/types.ts";
import { exportHandler } from "../../../../hypervisor/snapshots-export/handler.ts";
import { systemClock } from "../../../../lib/clock.ts";
import { tempFolder } from "../../../exporter/given.ts";
import { findInTar, folderVault, openTar } from "../../snapshots-export/given.ts";
import { at, kindOf, LIMIT_MS, type Subject } from "./subject.ts";

/** Their engine takes what was exported, and has the files again. */
async function readIn(subject: Subject, tar: Buffer): Promise<void> {
  const { snapshots } = subject.backend();
  const { readIn: read } = subject.given();
  if (read === undefined) return;
  await snapshots.remove({ ...at("exported"), snapshot: "s1" });
  const image = await read(tar);
  if (image === undefined) await snapshots.restore({ ...at("exported"), snapshot: "s1" });
  else await subject.running("again", { image });
  const name = image === undefined ? "exported" : "again";
  expect(await subject.printed(name, "cat /root/state")).toBe("one");
  if (image !== undefined) await subject.remove("again");
}

// eslint-disable-next-line jest/no-export -- the same tests run on several backends
export function exportsContract(subject: Subject): void {
  test(
    "exports a snapshot sealed, with the files that were written in the container, as often as it is asked to",
    async () => {
      const { snapshots, containers } = subject.backend();
      const folder = await tempFolder();
      const vault = await folderVault(folder.path);
      await subject.running("exported");
      await subject.shell("exported", "echo one > /root/state");
      await snapshots.create({ ...at("exported"), snapshot: "s1" });
      await subject.shell("exported", "echo two > /root/state");
      const before = (await containers.list({})).length;

      const handler = exportHandler({ vault, clock: systemClock });
      const work = { verb: "export-snapshot", ...at("exported"), snapshot: "s1" } as const;
      const perform = async (id: string) =>
        handler.perform(work, {
          backend: answeringProblems(subject.backend()),
          claim: { id, epoch: 1, work } as unknown as Claim,
          signal: new AbortController().signal,
          tell: async () => Promise.resolve(),
        });
      const exported = (await perform("op-1")) as {
        readonly files: readonly { readonly location: string }[];
      };

      const files = exported.files.map(({ location }) => location);
      const tar = await openTar(files, vault.keyFile, folder.path);
      expect(await findInTar(tar, /(^|\/)root\/state$/, folder.path)).toContainEqual(
        expect.stringMatching(/^one\s*$/),
      );
      expect(await findInTar(tar, /(^|\/)root\/state$/, folder.path)).not.toContainEqual(
        expect.stringMatching(/^two/),
      );
      await perform("op-2");
      expect(await containers.list({})).toHaveLength(before);
      const request = { ...at("exported"), exportId: "e" };
      expect(await kindOf(snapshots.export({ ...request, snapshot: "s9" }))).toBe("not_found");
      await readIn(subject, await readFile(tar));
      await subject.remove("exported");
      await folder.remove();
    },
    LIMIT_MS,
  );
}
