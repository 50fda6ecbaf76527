import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readDefaultModel } from "../../detector/default-model.ts";
import { openModel, trainDefaultModel } from "../../detector/model.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fettle-model-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

test("the shipped model is what its script makes, byte for byte", async () => {
  const shipped = await readDefaultModel();

  expect(trainDefaultModel(shipped.trainedAt)).toEqual(shipped);
  expect(openModel(shipped).forest.roots).toHaveLength(600);
});

test.each([
  ["no files", {}, "ENOENT"],
  [
    "a description that is not one",
    { "default-forest.json": "{}", "default-forest.gz": "" },
    "sha256",
  ],
])("with %s the shipped model is refused with a clear error", async (_name, files, message) => {
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);

  await expect(readDefaultModel(pathToFileURL(`${folder}/`))).rejects.toThrow(message);
});
