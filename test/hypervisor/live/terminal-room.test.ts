import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { createTerminalRoom } from "../../../hypervisor/live/terminal-room.ts";
import { silentLog } from "../../../lib/log.ts";
import { fakeClock } from "../../fakes/clock.ts";

const MIB = 1024 * 1024;

function given(free = 0.5) {
  const clock = fakeClock("2026-01-01T12:00:00Z");
  const enter = createTerminalRoom({
    folder: "/recordings",
    clock,
    log: silentLog,
    freeShare: async () => Promise.resolve(free),
  });
  return { clock, enter };
}

test("one person has ten terminals at most, also of those who come at once, and one more when one is closed", async () => {
  const { enter } = given();
  const all = await Promise.allSettled(Array.from({ length: 12 }, async () => enter("ana")));
  const open = all.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  expect(open).toHaveLength(10);
  await expect(enter("ana")).rejects.toMatchObject({ status: 429 });
  (await enter("ben"))(0);
  open[0]?.(0);
  await enter("ana");
  await expect(enter("ana")).rejects.toMatchObject({ status: 429 });
});

test("who has had 256 MiB recorded gets no terminal until the next day", async () => {
  const { clock, enter } = given();
  for (let at = 0; at < 4; at += 1) (await enter("ana"))(64 * MIB);
  await expect(enter("ana")).rejects.toMatchObject({ status: 429 });
  (await enter("ben"))(0);
  await clock.advance(12 * 3_600_000);
  (await enter("ana"))(0);
});

test("no terminal is opened, and none is counted, while the disk is nearly full", async () => {
  const { enter } = given(0.09);
  for (let at = 0; at < 12; at += 1)
    await expect(enter("ana")).rejects.toMatchObject({ status: 503 });
});

test("where nothing can be recorded no terminal is opened, and it is said what to do", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fettle-room-"));
  await writeFile(join(folder, "file"), "");
  const clock = fakeClock("2026-01-01T12:00:00Z");
  const enter = createTerminalRoom({
    folder: join(folder, "file", "recordings"),
    clock,
    log: silentLog,
  });

  await expect(enter("ana")).rejects.toMatchObject({
    status: 503,
    detail:
      "Terminals are recorded, and the folder of the recordings cannot be written: " +
      "set HYPERVISOR_RECORDINGS_DIR to one that can, or HYPERVISOR_RECORDINGS=off.",
  });

  await rm(folder, { recursive: true });
});
