import { expect, test } from "@jest/globals";
import { shareOf } from "../../runbooks/wilson.ts";

// Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I, method 3.
test.each([
  [81, 263, 0.2553, 0.3662],
  [15, 148, 0.0624, 0.1605],
  [0, 20, 0, 0.1611],
  [1, 29, 0.0061, 0.1718],
  [29, 29, 0.883, 1],
  [0, 0, 0, 1],
])("%i of %i lies between %d and %d", (count, of, low, high) => {
  expect(shareOf(count, of)).toEqual({ count, of, low, high });
});
