import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { expect, test } from "@jest/globals";
import { measure } from "../../../lib/storage.ts";

test("what went through is known before the end is read: a store may answer as soon as it has all bytes", async () => {
  const content = Buffer.from("all of it");
  const sha256 = createHash("sha256").update(content).digest("hex");
  const info = { contentType: "any", signal: AbortSignal.timeout(60_000) };
  const measured = measure(Readable.from([content]), info);
  const pieces = measured.pieces[Symbol.asyncIterator]();

  await pieces.next();

  expect(measured.content()).toEqual({ bytes: content.length, sha256 });
  expect((await pieces.next()).done).toBe(true);
  expect(measured.content()).toEqual({ bytes: content.length, sha256 });
});
