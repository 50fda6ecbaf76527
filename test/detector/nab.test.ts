import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { scoreNabFolder } from "../../detector/nab.ts";
import { sine, valuesOf } from "./given.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fettle-nab-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const VALUES = [...valuesOf(sine, 700, 1), 400, ...valuesOf(sine, 60, 2)];

function csv(values: readonly (number | string)[]): string {
  const start = Date.UTC(2014, 3, 1);
  const rows = values.map((value, index) => {
    const time = new Date(start + index * 300_000).toISOString().slice(0, 19).replace("T", " ");
    return `${time},${value}`;
  });
  return ["timestamp,value", ...rows, ""].join("\n");
}

async function put(file: string, text: string): Promise<void> {
  const path = join(folder, "data", file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

async function scored(files?: readonly string[]): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  await scoreNabFolder({ folder, ...(files === undefined ? {} : { files }) }, (line) => {
    const { file, scores } = JSON.parse(line) as { file: string; scores: number[] };
    found[file] = scores;
  });
  return found;
}

test("every file under data/ gets one line with a score from 0 to 1 for each row", async () => {
  await put("b/second.csv", csv(VALUES.slice(0, 50)));
  await put("a/first.csv", csv(VALUES));

  const found = await scored();

  expect(Object.keys(found)).toEqual(["a/first.csv", "b/second.csv"]);
  expect(found["a/first.csv"]).toHaveLength(VALUES.length);
  expect(found["a/first.csv"]?.every((score) => score >= 0 && score <= 1)).toBe(true);
  expect(found["a/first.csv"]?.[700]).toBeGreaterThan(0.65);
});

test("the scores of a prefix are the prefix of the scores, and the same every time", async () => {
  await put("a/whole.csv", csv(VALUES));
  await put("a/part.csv", csv(VALUES.slice(0, 720)));

  const found = await scored();

  expect(found["a/part.csv"]).toEqual(found["a/whole.csv"]?.slice(0, 720));
  expect(await scored()).toEqual(found);
});

test("an incident is said once: what follows within the hold is not said again", async () => {
  await put(
    "a/one.csv",
    csv([...VALUES.slice(0, 700), ...VALUES.slice(0, 60).map((v) => v + 300)]),
  );

  const raised = (await scored())["a/one.csv"]?.slice(700).filter((score) => score > 0.65);

  expect(raised?.length).toBeGreaterThan(0);
  expect(raised?.length).toBeLessThanOrEqual(3);
});

test("only the listed files are scored, an empty cell is a gap that scores 0, and progress is told", async () => {
  await put("a/gap.csv", csv([...VALUES.slice(0, 40), "", ...VALUES.slice(40, 60)]));
  await put("a/other.csv", csv([1, 2]));
  const told: number[] = [];

  await scoreNabFolder(
    { folder, files: ["a/gap.csv"], onFile: ({ done, total }) => told.push(done / total) },
    (line) => {
      expect((JSON.parse(line) as { scores: number[] }).scores[40]).toBe(0);
    },
  );

  expect(told).toEqual([1]);
});

test.each([
  ["time,value\n2014-04-01 00:00:00,1\n", "the first line"],
  ["timestamp,value\nyesterday,1\n", 'line 2: "yesterday" is no time'],
  ["timestamp,value\n2014-04-01 00:00:00,abc\n", 'line 2: "abc" is no number'],
  ["timestamp,value\n2014-02-31 00:00:00,1\n", 'line 2: "2014-02-31 00:00:00" is no time'],
])("a file that cannot be read is named: %j", async (text, message) => {
  await put("a/bad.csv", text);

  await expect(scored()).rejects.toThrow(new RegExp(`a/bad\\.csv: ${message}`));
});
