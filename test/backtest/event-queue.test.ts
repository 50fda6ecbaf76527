import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { EventQueue } from "../../runbooks/backtest/event-queue.ts";

test("events come by time, and those of the same time in the order in which they were planned", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 80 }), (times) => {
      const queue = new EventQueue<number>();
      for (const [number, at] of times.entries()) queue.plan(at, number);

      const planned = times.map((at, number) => ({ at, what: number }));
      const expected = planned.toSorted((one, other) => one.at - other.at);
      const came = expected.map(() => queue.next(Infinity));

      expect(came).toMatchObject(expected);
      expect(queue.next(Infinity)).toBeUndefined();
    }),
  );
});

test("an event that is later than the asked time stays", () => {
  const queue = new EventQueue<string>();
  queue.plan(5, "later");

  expect(queue.next(4)).toBeUndefined();
  expect(queue.next(5)).toMatchObject({ at: 5, what: "later" });
});
