import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import type { StoredModel } from "./types/store.ts";

/** Where `ops/models/make-default.ts` puts the model: the trees as they are hashed, and what is known about them. */
export const DEFAULT_MODEL_FOLDER = new URL("../ops/models/", import.meta.url);
export const DEFAULT_TREES_FILE = "default-forest.gz";
export const DEFAULT_DESCRIPTION_FILE = "default-forest.json";
/** Sixty times the shipped one: what is longer is not a forest of ours. */
const TREES_BYTES_MAX = 100_000_000;

const description = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  schemaVersion: z.number().int(),
  seed: z.number().int(),
  trainedAt: z.iso.datetime(),
  parameters: z.record(z.string(), z.unknown()),
});

/**
 * The model that ships with the program, trained on synthetic rows, for the first minute.
 *
 * @throws Error when the files are missing or are not a model's; `openModel` still checks the hash
 */
export async function readDefaultModel(folder: URL = DEFAULT_MODEL_FOLDER): Promise<StoredModel> {
  const [text, packed] = await Promise.all([
    readFile(new URL(DEFAULT_DESCRIPTION_FILE, folder), "utf8"),
    readFile(new URL(DEFAULT_TREES_FILE, folder)),
  ]);
  const { trainedAt, ...rest } = description.parse(JSON.parse(text));
  const trees = gunzipSync(packed, { maxOutputLength: TREES_BYTES_MAX });
  return { ...rest, trainedAt: new Date(trainedAt), trees };
}
