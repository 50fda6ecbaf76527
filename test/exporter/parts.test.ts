import { Readable } from "node:stream";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { COLUMN_NAMES, csvOf, type TextRow } from "../../exporter/csv.ts";
import { PartCutter } from "../../exporter/cut-parts.ts";
import { jsonLines } from "../../exporter/json-lines.ts";
import { LeafEncoder } from "../../exporter/leaf.ts";
import { PartSplitter } from "../../exporter/parts.ts";
import { anyRows, textRow } from "./given-rows.ts";

/** The definition: netstrings of the raw values. */
function leafOf(text: TextRow): string {
  return COLUMN_NAMES.map((name) => {
    const raw = text[name as keyof TextRow];
    return raw === null ? "-," : `${Buffer.byteLength(raw)}:${raw},`;
  }).join("");
}

/** Gives the bytes in pieces of the given sizes, as a socket would. */
function inPieces(bytes: Buffer, size: number): Readable {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return Readable.from(pieces);
}

async function splitAll(csv: Buffer, partBytes: number, pieceSize: number) {
  const seen: string[] = [];
  const leaves = new LeafEncoder("escape", (marked) => {
    expect(marked[0]).toBe(0);
    seen.push(marked.toString("utf8", 1));
  });
  const splitter = new PartSplitter(inPieces(csv, pieceSize), { partBytes, rows: leaves });
  const parts: { bytes: Buffer; rows: number; last: unknown }[] = [];
  do {
    const pieces: Buffer[] = [];
    for await (const piece of splitter.part()) pieces.push(piece);
    const { rows: count, last } = splitter.summary;
    parts.push({ bytes: Buffer.concat(pieces), rows: count, last });
  } while (!splitter.summary.isLast);
  return { parts, seen };
}

test("parts are whole CSVs whose rows together are all rows in order, wherever the pieces and the limit fall", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyRows,
      fc.integer({ min: 1, max: 2_000 }),
      fc.integer({ min: 1, max: 400 }),
      async (all, partBytes, pieceSize) => {
        const csv = csvOf(all, "escape").csv;
        const header = Buffer.from(`${COLUMN_NAMES.join(",")}\n`);

        const { parts, seen } = await splitAll(csv, partBytes, pieceSize);

        expect(seen).toEqual(all.map(leafOf));
        expect(Buffer.concat(parts.map(({ bytes }) => bytes.subarray(header.length)))).toEqual(
          csv.subarray(header.length),
        );
        for (const part of parts) {
          expect(part.bytes.subarray(0, header.length)).toEqual(header);
          expect(part.bytes.length <= partBytes || part.rows <= 1).toBe(true);
        }
        const last = all.at(-1);
        expect(parts.at(-1)?.last).toEqual(last && { xid: last.xid, id: last.id });
      },
    ),
    { numRuns: 300 },
  );
});

test("rows that end in the middle of one are refused", async () => {
  const csv = csvOf([textRow(0, ["a"])], "escape").csv;

  await expect(splitAll(csv.subarray(0, -1), 1_000, 7)).rejects.toThrow("in the middle of one");
  await expect(splitAll(Buffer.from("id,xid"), 1_000, 7)).rejects.toThrow("no header");
});

test("JSON lines have the raw values, and detail as it is stored", async () => {
  await fc.assert(
    fc.asyncProperty(anyRows, fc.constantFrom("escape", "off"), async (all, formula) => {
      const cutter = new PartCutter(Readable.from([csvOf(all, formula)]), 1e6);
      const pieces: Buffer[] = [];
      for await (const piece of jsonLines(cutter.part(), formula)) pieces.push(piece);

      const lines = Buffer.concat(pieces).toString("utf8").split("\n").slice(0, -1);
      expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
        all.map((text) => ({ ...text, detail: JSON.parse(text.detail ?? "") as unknown })),
      );
    }),
  );
});
