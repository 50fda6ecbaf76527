import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "@jest/globals";
import { createCache } from "../../../hypervisor/monitoring/cache.ts";
import { fakeClock } from "../../fakes/clock.ts";

const START = "2026-01-01T00:00:00Z";

function given(weightMax = 100_000, entriesMax = 3) {
  const clock = fakeClock(START);
  const cached = createCache({ ttlMs: 5_000, entriesMax, weightMax, clock });
  let made = 0;
  const ask = async (key: string, answer: unknown = key) =>
    cached(key, async () => {
      made += 1;
      return Promise.resolve(answer);
    });
  return { clock, cached, ask, made: () => made };
}

test("one answer serves all who ask within its time, and a failure is not kept", async () => {
  const { clock, cached, ask, made } = given();
  expect(await Promise.all([ask("a"), ask("a")])).toEqual(["a", "a"]);
  await ask("a");
  expect(made()).toBe(1);
  await clock.advance(5_000);
  await ask("a");
  expect(made()).toBe(2);
  await expect(cached("b", async () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await ask("b")).toBe("b");
});

test("an answer whose time is over is let go when anything else is asked", async () => {
  const { clock, ask } = given();
  const answers = [{ rows: ["x"] }];
  const held = new WeakRef(answers[0] ?? {});
  await ask("a", answers.pop());
  await clock.advance(5_000);
  await ask("b");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let looks = 0; looks < 50 && held.deref() !== undefined; looks += 1) {
    await sleep(10); // what was looked at is kept until the turn ends
    collect();
  }
  expect(held.deref()).toBeUndefined();
});

test("a heavy answer is given to who waits for it, and not kept; several of some weight push out the oldest", async () => {
  const { ask, made } = given();
  const rows = (count: number) => Array.from({ length: count }, (_, at) => [at, String(at)]);
  const heavy = rows(1_000);
  expect(await Promise.all([ask("heavy", heavy), ask("heavy", heavy)])).toEqual([heavy, heavy]);
  await ask("heavy", heavy);
  expect(made()).toBe(2);

  const some = given(100_000, 100);
  for (let at = 0; at < 20; at += 1) await some.ask(`k${at}`, rows(50));
  await some.ask("k19");
  expect(some.made()).toBe(20);
  await some.ask("k0", rows(50));
  expect(some.made()).toBe(21);
});
