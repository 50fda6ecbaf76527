import { expect, test } from "@jest/globals";
import { splitLines } from "../../../hypervisor/backends/lines.ts";
import { bytesOf, limitsConfig, limitsOf } from "../../../hypervisor/backends/lxd/limits.ts";

test("lines come whole however the bytes are cut, also in the middle of a character", () => {
  const bytes = Buffer.from("één\r\ntwo\n\nlast");
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const splitter = splitLines();
    const lines = [
      ...splitter.push(bytes.subarray(0, cut)),
      ...splitter.push(bytes.subarray(cut)),
      ...splitter.rest(),
    ];
    expect(lines).toEqual(["één", "two", "", "last"]);
  }
});

test("a line without an end is cut into pieces and never kept whole", () => {
  const splitter = splitLines();
  const pieces = Array.from({ length: 10 }, () => splitter.push(Buffer.alloc(10_000, "x"))).flat();

  expect(new Set(pieces.map(({ length }) => length))).toEqual(new Set([16_384]));
  expect([...pieces, ...splitter.rest()].join("")).toHaveLength(100_000);
});

test("LXD's limits are read as numbers, and what is no number of CPUs or bytes counts as none", () => {
  const cpus = (config: Record<string, string>) => limitsOf(config).cpus;

  expect(cpus({ "limits.cpu": "2" })).toBe(2);
  expect(cpus({ "limits.cpu": "0-2,5" })).toBe(4);
  expect(cpus({ "limits.cpu": "2", "limits.cpu.allowance": "50ms/100ms" })).toBe(0.5);
  expect(cpus({ "limits.cpu.allowance": "50%" })).toBeUndefined();
  expect(cpus({ "limits.cpu.allowance": "50ms/0ms", "limits.cpu": "x" })).toBeUndefined();
  expect(["64MiB", "1GB", "4096", "1.5GiB", "10%", "", "1XB"].map(bytesOf)).toEqual([
    ...[64 * 2 ** 20, 1e9, 4096, undefined, undefined, undefined, undefined],
  ]);
});

test("limits come back as they were given", () => {
  for (const limits of [
    { cpus: 0.25, memoryBytes: 123_456_789 },
    { cpus: 1.5, memoryBytes: 2 ** 40 },
    { cpus: 8, memoryBytes: undefined },
  ])
    expect(limitsOf(limitsConfig(limits))).toEqual(limits);
});
