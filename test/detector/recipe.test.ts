import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { ROW_STREAMS } from "../../detector/features.ts";
import {
  createNoveltyMemory,
  PENDING_VALUES,
  takeNovelty,
  type NoveltyMemory,
} from "../../detector/novelty.ts";
import { createStrand, rowsOf, takeReading } from "../../detector/strand.ts";
import { ExactWindow } from "./exact-window.ts";
import { flat, sine, valuesOf } from "./given.ts";

// The recipe written down a second time, from whole arrays and without any state: slow and obvious.
const WINDOW = 4032;
const WEIGHTS: Record<string, number> = {
  value: 1,
  level: 0.5,
  shift: 0.5,
  spread: 0.5,
  trend: 0.5,
  ratio: 0.5,
};

type Kind = "fresh" | "lasting";

function referenceRow(values: readonly number[], kind: Kind): number[] {
  const rows = values.map((_, at) => referenceStreams(values.slice(0, at + 1)));
  const features: Record<string, number> = {};
  for (const stream of Object.keys(WEIGHTS)) {
    const past = rows.flatMap((row) => (row[stream] === undefined ? [] : [row[stream]]));
    const floors = rows.flatMap((row) =>
      row[stream] === undefined ? [] : [row[`${stream}Floor`] ?? NaN],
    );
    features[stream] =
      rows.at(-1)?.[stream] === undefined
        ? 0
        : referenceFeature(stream, { values: past, floors, kind });
  }
  return ROW_STREAMS.map((stream) => features[stream] ?? NaN);
}

/** Quantiles are the settled past's, extremes are everybody's. */
function referenceRange(seen: readonly number[]): { core: number; range: number } {
  const past = sorted(seen.slice(0, -1).slice(-WINDOW));
  if (past.length === 0) return { core: 1e-12, range: 1e-12 };
  const width = (past.at(-1) ?? 0) - (past[0] ?? 0);
  const settled = sorted(seen.slice(0, -1 - PENDING_VALUES));
  const [spread, middle] =
    settled.length === 0
      ? [width, past[0] ?? 0]
      : [q(settled, 0.99) - q(settled, 0.01), q(settled, 0.5)];
  const core = Math.max(spread, 1e-9 * Math.abs(middle), 1e-12);
  return { core, range: Math.max(width, core) };
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

function referenceStreams(seen: readonly number[]): Record<string, number | undefined> {
  const x = seen.at(-1) ?? NaN;
  const { core, range } = referenceRange(seen);
  const last = (count: number): readonly number[] => seen.slice(-count);
  const last48 = last(48);
  const slope = last48.reduce((sum, y, i) => sum + (i - 23.5) * (y - mean(last48)), 0) / 9212;
  const n = seen.length;
  return {
    value: x,
    valueFloor: range,
    level: n < 12 ? undefined : mean(last(12)),
    levelFloor: range,
    shift: n < 252 ? undefined : mean(last(36)) - mean(last(252).slice(0, 216)),
    shiftFloor: 0.02 * range,
    spread: n < 48 ? undefined : Math.sqrt(mean(last48.map((y) => (y - mean(last48)) ** 2))),
    spreadFloor: 0.02 * range,
    trend: n < 48 ? undefined : slope,
    trendFloor: (0.02 * range) / 48,
    ratio: n < 30 ? undefined : Math.log(Math.abs(x) + 0.02 * core),
    ratioFloor: 0.05,
  };
}

function referenceFeature(
  stream: string,
  {
    values,
    floors,
    kind,
  }: {
    readonly values: readonly number[];
    readonly floors: readonly number[];
    readonly kind: Kind;
  },
): number {
  const gaps: number[] = [];
  let novelty = 0;
  values.forEach((v, at) => {
    const window = values.slice(Math.max(0, at - WINDOW), at);
    if (window.length < 30) return;
    const gap = Math.min(...window.map((w) => Math.abs(v - w)));
    const against = kind === "fresh" ? window : window.slice(0, -PENDING_VALUES);
    const far = Math.min(...against.map((w) => Math.abs(v - w)));
    const recent = gaps.slice(-32).sort((a, b) => a - b);
    const quantum = recent.length > 5 ? 1.5 * q(recent, 0.1) : 0;
    novelty =
      against.length < 30
        ? 0
        : Math.max(0, far - quantum) /
          Math.max(Math.max(...against) - Math.min(...against), floors[at] ?? NaN);
    if (gap > 1e-9 * Math.abs(v)) gaps.push(gap);
  });
  return Math.min(1, ((WEIGHTS[stream] ?? NaN) * novelty) / 0.25);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function q(values: readonly number[], fraction: number): number {
  const rank = fraction * (values.length - 1);
  const low = values[Math.floor(rank)] ?? NaN;
  return low + ((values[Math.floor(rank) + 1] ?? low) - low) * (rank % 1);
}

test.each([
  ["a flat series", valuesOf(flat, 330, 1)],
  ["a sine", valuesOf(sine, 330, 2)],
  ["a level shift", [...valuesOf(flat, 310, 3), 160, 161, 158]],
  ["a constant with one spike", [...Array.from({ length: 300 }, () => 5), 9]],
])("the row of %s is the recipe's, computed from scratch", (_name, values) => {
  const strand = createStrand(() => new ExactWindow(WINDOW - PENDING_VALUES), { ratio: true });

  const rows = values.map((value) => rowsOf(takeReading(strand, value)));

  for (const back of [1, 2, 5, 20]) {
    const seen = values.slice(0, values.length - back + 1);
    for (const kind of ["fresh", "lasting"] as const) {
      const reference = referenceRow(seen, kind);
      rows.at(-back)?.[kind].forEach((feature, column) => {
        // Usual gaps are kept in single precision.
        expect(feature).toBeCloseTo(reference[column] ?? NaN, 6);
      });
    }
  }
});

function exactMemory(): NoveltyMemory {
  return createNoveltyMemory(new ExactWindow(WINDOW));
}

test("the newest value's novelty never exceeds its gap to the past over the past range", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 31, maxLength: 120 }),
      (values) => {
        const memory = exactMemory();
        const novelties = values.map((value) => takeNovelty(memory, value, 1).fresh);

        expect(novelties.slice(0, 30).every((novelty) => novelty === 0)).toBe(true);
        values.slice(30).forEach((value, index) => {
          const past = values.slice(0, 30 + index);
          const gap = Math.min(...past.map((other) => Math.abs(other - value)));
          const range = Math.max(1, Math.max(...past) - Math.min(...past));
          expect(novelties[30 + index]).toBeLessThanOrEqual(gap / range);
        });
      },
    ),
  );
});

test("a counter's unseen integers stop being news once small gaps are usual", () => {
  const memory = exactMemory();
  const novelties = Array.from(
    { length: 200 },
    (_, index) => takeNovelty(memory, index * 2, 1).fresh,
  );

  expect(novelties[30]).toBeGreaterThan(0);
  expect(novelties.slice(40).every((novelty) => novelty === 0)).toBe(true);
});
