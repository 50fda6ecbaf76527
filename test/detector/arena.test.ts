import { expect, test } from "@jest/globals";
import { Arena } from "../../detector/arena.ts";
import { createSeriesState } from "../../detector/score.ts";

test("stretches do not touch, whatever their kind", () => {
  const arena = new Arena(48);
  const [floats, doubles, integers] = [
    arena.takeFloats(3),
    arena.takeDoubles(2),
    arena.takeIntegers(3),
  ];
  arena.floats.fill(1.5, floats, floats + 3);
  arena.doubles.fill(2.5, doubles, doubles + 2);
  arena.integers.fill(7, integers, integers + 3);

  expect([...arena.floats.subarray(floats, floats + 3)]).toEqual([1.5, 1.5, 1.5]);
  expect([...arena.doubles.subarray(doubles, doubles + 2)]).toEqual([2.5, 2.5]);
  expect(arena.left).toBe(0);
});

test("more than was said is refused", () => {
  const arena = new Arena(16);
  arena.takeDoubles(1);

  expect(() => arena.takeDoubles(2)).toThrow("8 bytes too small");
});

test("a series asks for exactly what its arena has", () => {
  const [window] = createSeriesState().zWindows as unknown as readonly [{ arena: Arena }];

  expect(window.arena.left).toBe(0);
});
