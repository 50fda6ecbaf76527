import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { acceleratedClock } from "../../../cli/demo/clock.ts";

const START = new Date("2026-11-21T03:00:00Z");
const RATE = 240;
/** What a process that was held up may find passed at most. */
const LOST_MAX_MS = 250;

test("it stands still until it is to run", async () => {
  const clock = acceleratedClock(START, RATE);
  await sleep(60);

  expect(clock.now()).toEqual(START);
});

test("it waits for a process that is held up", async () => {
  const clock = acceleratedClock(START, RATE);
  clock.run();
  const began = performance.now();
  while (performance.now() - began < 4 * LOST_MAX_MS);
  const freed = performance.now();
  while (clock.now().getTime() === START.getTime()) await sleep(5);
  const passed = (clock.now().getTime() - START.getTime()) / RATE;

  expect(passed).toBeGreaterThan(0);
  expect(passed).toBeLessThanOrEqual(LOST_MAX_MS + performance.now() - freed);
});
