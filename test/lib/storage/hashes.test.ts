import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { quickXorHash } from "../../../lib/adapters/storage/drives/hashes.ts";
import { quickXor } from "../../fakes/graph.ts";

function hashOf(pieces: readonly Buffer[]): string {
  const hash = quickXorHash();
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

// From the tests of rclone's QuickXorHash.
test.each([
  ["", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="],
  ["Sg==", "SgAAAAAAAAAAAAAAAQAAAAAAAAA="],
  ["J9iPGCbfZSTNyw==", "J8DGIzBggm+UgQTNUgYAAAAAAAA="],
  ["2fuxhBJXtpWFe8dOfdGeHw==", "O9tHLAghgSvYohKFyMMxnNCHaHg="],
])("the QuickXorHash of %j is known", (text, expected) => {
  const content = Buffer.from(text, "base64");

  expect(hashOf([...content].map((byte) => Buffer.of(byte)))).toBe(expected);
  expect(quickXor(content)).toBe(expected); // the definition that the next test compares with
});

test("QuickXorHash is that of its definition, however long the content is, and wherever its pieces begin and end", () => {
  const content = fc.uint8Array({ maxLength: 1_500 }).map((bytes) => Buffer.from(bytes));
  const cuts = fc.array(fc.nat({ max: 1_500 }), { maxLength: 6 });
  fc.assert(
    fc.property(content, cuts, fc.nat({ max: 7 }), (bytes, at, offset) => {
      // Memory that begins at no multiple of a word's size.
      const shifted = Buffer.concat([Buffer.alloc(offset), bytes]).subarray(offset);
      const ends = [...at, bytes.length].toSorted((a, b) => a - b);
      const pieces = ends.map((end, n) => shifted.subarray(ends[n - 1] ?? 0, end));
      expect(hashOf(pieces)).toBe(quickXor(bytes));
    }),
    { numRuns: 1_000 },
  );
});
