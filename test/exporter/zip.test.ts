import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Content } from "../../exporter/content.ts";
import { COLUMN_NAMES, csvOf } from "../../exporter/csv.ts";
import { jsonLines } from "../../exporter/json-lines.ts";
import { openArchive } from "../../exporter/unzip.ts";
import { zipOf } from "../../exporter/zip.ts";
import { anyRows } from "./given-rows.ts";
import { member, pack, ZIP_OPTIONS } from "./given-zip.ts";
import { parseCsv } from "./given.ts";

const bytesOf = (content: Buffer): Content => ({
  read: () => Readable.from([content]) as AsyncIterable<Buffer>,
  forget: () => undefined,
});

test("CSV and JSON lines of an archive say the same rows, whatever is in them, and come out as they went in", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyRows,
      fc.constantFrom("escape", "off"),
      fc.boolean(),
      async (rows, formula, compressed) => {
        const { csv, ends } = csvOf(rows, formula);
        const header = csv.subarray(0, ends[0]);
        const pieces = () => Readable.from([header, csv.subarray(ends[0])]);
        const zip = await pack(
          [
            { name: "a.csv", content: pieces },
            { name: "a.jsonl", content: () => jsonLines(pieces(), formula) },
          ],
          { ...ZIP_OPTIONS, compressed },
        );

        const opened = await openArchive("a.zip", bytesOf(zip));

        const [first, second] = await Promise.all([buffer(opened.csv), buffer(opened.jsonl)]);
        expect(first.equals(csv)).toBe(true);
        const lines = second.toString("utf8").split("\n").slice(0, -1);
        const raw = (shown: string | null, index: number) => {
          const isShown = formula === "escape" && index > 2 && shown !== null;
          return isShown && /^''*[=+@\t\r\n＝＋－＠-]/.test(shown) ? shown.slice(1) : shown;
        };
        const [, ...records] = parseCsv(first.toString("utf8"));
        const fromCsv = records.map((record) =>
          Object.fromEntries(
            record.map((shown, n) => [COLUMN_NAMES[n] ?? "", raw(shown, n)] as const),
          ),
        );
        const fromLines = lines.map((line) => JSON.parse(line) as { detail: unknown });
        const withText = ({ detail, ...rest }: Record<string, unknown>) => ({
          ...rest,
          detail: JSON.parse(detail as string) as unknown,
        });
        expect(fromLines).toEqual(fromCsv.map(withText));
      },
    ),
  );
});

test("an archive's bytes depend on the rows alone, not on how they came", async () => {
  const text = "žut 🛠,1\n".repeat(50_000);
  const whole = Buffer.from(text);
  const inPieces = () =>
    Readable.from(
      Array.from({ length: 100 }, (_, n) => whole.subarray(n * 6_000, (n + 1) * 6_000)),
    );

  const once = await pack([member("a.csv", text), member("a.jsonl", text)]);
  const again = await pack([{ name: "a.csv", content: inPieces }, member("a.jsonl", text)]);

  expect(whole).toHaveLength(600_000);
  expect(once.equals(again)).toBe(true);
});

test("an archive is not read ahead: what waits is bounded, on the way in and on the way out", async () => {
  const chunk = Buffer.alloc(64 * 1024, "row,1\n");
  let read = 0;
  const endless = async function* () {
    for (;;) {
      await turn();
      read += 1;
      yield chunk;
    }
  };
  const stored = { ...ZIP_OPTIONS, compressed: false };
  const zip = zipOf([{ name: "a.csv", content: endless }], stored)[Symbol.asyncIterator]();
  await zip.next();
  for (let n = 0; n < 1_000; n++) await turn();
  expect(read).toBeLessThan(30); // 2 MB
  await zip.return(undefined);

  const large = Buffer.alloc(30_000_000, "row,1\n");
  const packed = await pack([member("a.csv", large), member("a.jsonl", "")], stored);
  let given = 0;
  const pieces = async function* () {
    for (let at = 0; at < packed.length; at += chunk.length) {
      await turn();
      given += 1;
      yield packed.subarray(at, at + chunk.length);
    }
  };
  const content = { read: pieces, forget: () => undefined };
  const { csv, jsonl } = await openArchive("a.zip", content);
  const before = given;
  const reader = csv[Symbol.asyncIterator]();
  await reader.next();
  for (let n = 0; n < 1_000; n++) await turn();
  expect(given - before).toBeLessThan(30);
  await reader.return?.();
  expect(await buffer(jsonl)).toHaveLength(0);
});

test("a failing member is the archive's failure", async () => {
  const failing = Readable.from(
    (async function* () {
      yield Buffer.from("id\n");
      await Promise.reject(new Error("the database went away"));
    })(),
  );

  const packing = pack([member("a.csv", "id\n"), { name: "a.jsonl", content: () => failing }]);

  await expect(packing).rejects.toThrow("the database went away");
});

const good = [member("a.csv", "id\n".repeat(100)), member("a.jsonl", "{}\n".repeat(100))] as const;
/** Writes a number into the first (CSV's) entry of the directory: where it stands is fixed by the format. */
const inDirectory = (zip: Buffer, at: number, value: number) => {
  const entry = zip.indexOf(Buffer.from("504b0102", "hex"));
  const changed = Buffer.from(zip);
  changed.writeUInt32LE(value, entry + at);
  return changed;
};

test.each<readonly [string, () => Promise<Buffer>, RegExp]>([
  ["something else", async () => Buffer.from("id,event\n1,2\n"), /not a readable ZIP archive/],
  ["nothing", async () => Buffer.alloc(0), /not a readable ZIP archive/],
  ["a cut one", async () => (await pack(good)).subarray(0, -40), /not a readable ZIP archive/],
  ["a third member", async () => pack([...good, member("c", "")]), /3 members in place of two/],
  ["one member", async () => pack([good[0]]), /1 members in place of two/],
  [
    "members of other names",
    async () => pack([member("b.csv", ""), good[1]]),
    /holds "b\.csv", "a\.jsonl", not a\.csv and a\.jsonl/,
  ],
  [
    "a size of 4 GB",
    async () => inDirectory(await pack(good), 24, 0xfffffff0),
    /a\.csv: is larger/,
  ],
  ["too small a size", async () => inDirectory(await pack(good), 24, 10), /too many bytes/],
  ["another CRC", async () => inDirectory(await pack(good), 16, 1), /was changed \(its CRC-32\)/],
  [
    "another method",
    async () => inDirectory(await pack(good), 8, (12 << 16) | 8),
    /another way \(12\)/,
  ],
  ["a place outside", async () => inDirectory(await pack(good), 42, 1e6), /names bytes 1000000/],
])("an archive with %s is refused with the reason", async (_name, make, reason) => {
  const content = bytesOf(await make());
  const reading = async () => {
    const { csv, jsonl } = await openArchive("a.zip", content);
    await Promise.all([buffer(csv), buffer(jsonl)]);
  };

  await expect(reading()).rejects.toThrow(reason);
});
