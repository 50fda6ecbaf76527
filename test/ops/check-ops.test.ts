import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { check, copySources } from "./given-copy.ts";
import { MISTAKES_OF_DELIVERY } from "./given-mistakes-of-delivery.ts";
import { MISTAKES_OF_WATCHING } from "./given-mistakes-of-watching.ts";

const MISTAKES = [...MISTAKES_OF_DELIVERY, ...MISTAKES_OF_WATCHING] as const;

let copy: string;
let report: Awaited<ReturnType<typeof check>>;

beforeAll(async () => {
  copy = await copySources();
  for (const mistake of MISTAKES) await plant(mistake);
  report = await check(copy, "check:ops");
}, 120_000);
afterAll(async () => rm(copy, { recursive: true, force: true }));

test.each(MISTAKES)("the check of ops/ finds %s", (_name, _path, _right, _wrong, words) => {
  expect(report.code).not.toBe(0);
  expect(report.output).toMatch(words);
});

async function plant([, path, right, wrong]: (typeof MISTAKES)[number]): Promise<void> {
  const file = join(copy, path);
  const text = await readFile(file, "utf8");
  if (!text.includes(right)) throw new Error(`${path} has no ${right}`);
  await writeFile(file, text.replace(right, wrong));
}
