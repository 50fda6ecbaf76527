import { expect, test } from "@jest/globals";
import { Arena } from "../../detector/arena.ts";
import { createSeriesState, newestValues, pointsOf, scorePoint } from "../../detector/score.ts";

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

test("one set of columns serves one series after the other, as if each had its own", () => {
  const alone = createSeriesState();
  const states = [createSeriesState(), createSeriesState()];
  const value = (index: number, of: number) => Math.sin(index * (of + 1)) * 10 + of;
  for (let index = 0; index < 400; index += 1) {
    const t = index * 60_000;
    const expected = scorePoint(alone, { t, value: value(index, 0) }, undefined);
    const [own] = states.map((state, of) =>
      scorePoint(state, { t, value: value(index, of) }, undefined),
    );
    expect(own).toEqual(expected);
  }
  expect(states.map(pointsOf)).toEqual([400, 400]);
  expect(newestValues(states[1] ?? alone, 2)).toEqual([value(398, 1), value(399, 1)]);
});
