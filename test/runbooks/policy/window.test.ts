import { expect, test } from "@jest/globals";
import { isOpen, parseWindow } from "../../../runbooks/policy/window.ts";

function open(window: string, at: string): boolean {
  const read = parseWindow(window);
  if (typeof read === "string") throw new Error(read);
  return isOpen([read], new Date(at));
}

// 2026-11-20 is a Friday.
test.each([
  ["mon-fri 08:00-18:00", "2026-11-20T07:59:59Z", false],
  ["mon-fri 08:00-18:00", "2026-11-20T08:00:00Z", true],
  ["mon-fri 08:00-18:00", "2026-11-20T17:59:59Z", true],
  ["mon-fri 08:00-18:00", "2026-11-20T18:00:00Z", false],
  ["mon-fri 08:00-18:00", "2026-11-21T12:00:00Z", false],
  ["fri-mon 08:00-18:00", "2026-11-22T12:00:00Z", true],
  ["fri-mon 08:00-18:00", "2026-11-24T12:00:00Z", false],
  ["mon+fri 00:00-24:00", "2026-11-20T23:59:59Z", true],
  ["daily 08:00-18:00 Europe/Zagreb", "2026-11-20T07:00:00Z", true],
  ["daily 08:00-18:00 Europe/Zagreb", "2026-11-20T17:00:00Z", false],
  ["fri 22:00-06:00", "2026-11-20T22:00:00Z", true],
  ["fri 22:00-06:00", "2026-11-21T05:59:00Z", true],
  ["fri 22:00-06:00", "2026-11-21T06:00:00Z", false],
  ["fri 22:00-06:00", "2026-11-20T05:00:00Z", false],
  ["sun 22:00-06:00", "2026-11-23T03:00:00Z", true],
])("%s at %s: %s", (window, at, expected) => {
  expect(open(window, at)).toBe(expected);
});

test("moves with the people when their clocks change", () => {
  // 2026-10-25: Zagreb goes from UTC+2 to UTC+1.
  expect(open("daily 08:00-09:00 Europe/Zagreb", "2026-10-24T06:30:00Z")).toBe(true);
  expect(open("daily 08:00-09:00 Europe/Zagreb", "2026-10-26T06:30:00Z")).toBe(false);
  expect(open("daily 08:00-09:00 Europe/Zagreb", "2026-10-26T07:30:00Z")).toBe(true);
});

test("an hour that the clock skips is never open, one that comes twice is open twice", () => {
  const skipped = ["2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
  const twice = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"];

  expect(skipped.some((at) => open("daily 02:00-03:00 Europe/Zagreb", at))).toBe(false);
  expect(twice.every((at) => open("daily 02:00-03:00 Europe/Zagreb", at))).toBe(true);
});

test("without a window any time is right; of several one is enough; at no time at all none is", () => {
  const night = parseWindow("daily 22:00-06:00");
  const noon = parseWindow("daily 12:00-13:00");
  if (typeof night === "string" || typeof noon === "string") throw new Error("no window");

  expect(isOpen([], new Date("2026-11-20T12:30:00Z"))).toBe(true);
  expect(isOpen([night, noon], new Date("2026-11-20T12:30:00Z"))).toBe(true);
  expect(isOpen([night, noon], new Date("2026-11-20T14:30:00Z"))).toBe(false);
});

test.each([
  ["mon", "a window is"],
  ["someday 08:00-18:00", "a window is"],
  ["mon 8:00-18:00", "a window is"],
  ["mon 08:00-25:00", "a window is"],
  ["mon 08:00-18:00 Europe/Zagreb now", "a window is"],
  ["mon 08:00-08:00", "is empty; the whole day is 00:00-24:00"],
  ["mon 08:00-18:00 Europe/Atlantis", '"Europe/Atlantis" is no time zone'],
])("refuses %s", (text, expected) => {
  expect(parseWindow(text)).toContain(expected);
});
