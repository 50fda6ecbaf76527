import { afterEach, expect, test } from "@jest/globals";
import { watchLoad } from "../../runbooks/overload.ts";
import { waitUntil } from "../fakes/fettle.ts";

const MEBIBYTE = 1024 * 1024;

const started: { stop: () => void }[] = [];
afterEach(() => {
  for (const load of started.splice(0)) load.stop();
});

function given(inboxIsFull = false) {
  const load = watchLoad(() => inboxIsFull);
  started.push(load);
  return load;
}

test("bodies may hold 64 MiB together, and what is given back may be taken again", () => {
  const load = given();

  expect([load.take(60 * MEBIBYTE), load.take(5 * MEBIBYTE), load.take(4 * MEBIBYTE)]).toEqual([
    true,
    false,
    true,
  ]);
  load.give(60 * MEBIBYTE);
  expect(load.take(60 * MEBIBYTE)).toBe(true);
});

test("a full inbox and the end of the process are refused, each with its reason", () => {
  expect(given(true).refusal()).toMatch(/waiting/);
  const load = given();
  expect(load.refusal()).toBeUndefined();

  load.drain();

  expect(load.refusal()).toMatch(/about to end/);
});

test("an event loop that was blocked for more than a second refuses, and takes again later", async () => {
  const load = given();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const until = performance.now() + 1_500;
  while (performance.now() < until);
  await new Promise((resolve) => setTimeout(resolve, 50));

  expect(load.refusal()).toMatch(/overloaded/);
  await waitUntil("it to recover", async () => load.refusal() === undefined);
});
