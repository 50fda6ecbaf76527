// Makes the model that ships with the program: node ops/models/make-default.ts
// test/detector/default-model.test.ts makes it again and compares the hash.
import { writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import {
  DEFAULT_DESCRIPTION_FILE,
  DEFAULT_MODEL_FOLDER,
  DEFAULT_TREES_FILE,
} from "../../detector/default-model.ts";
import { trainDefaultModel } from "../../detector/model.ts";

/** A day, not a moment: made again, the files are the same bytes. */
const TRAINED_AT = new Date("2026-11-21T00:00:00Z");

const { trees, ...description } = trainDefaultModel(TRAINED_AT);
await writeFile(new URL(DEFAULT_TREES_FILE, DEFAULT_MODEL_FOLDER), gzipSync(trees, { level: 9 }));
await writeFile(
  new URL(DEFAULT_DESCRIPTION_FILE, DEFAULT_MODEL_FOLDER),
  `${JSON.stringify(description, null, 2)}\n`,
);
process.stdout.write(`${description.sha256}\n`);
