import { expect, test } from "@jest/globals";
import { loadModel } from "../../detector/load-model.ts";
import { openModel, storeModel, trainDefaultModel } from "../../detector/model.ts";
import { syntheticPool, trainForest } from "../../detector/train.ts";
import type { StoredModel } from "../../detector/types/store.ts";
import { sha256Hex } from "../../lib/canonical.ts";
import { silentLog } from "../../lib/log.ts";

const AT = new Date("2026-11-20T00:00:00Z");
const small = storeModel(trainForest(syntheticPool(7, 2), { seed: 2, trees: 3 }), {
  seed: 2,
  trainedAt: AT,
  pool: "synthetic",
});

function broken(change: (trees: Buffer) => void): StoredModel {
  const trees = Buffer.from(small.trees);
  change(trees);
  return { ...small, trees, sha256: sha256Hex(trees) };
}

test("a stored model comes back number for number", () => {
  const forest = trainForest(syntheticPool(7, 2), { seed: 2, trees: 3 });

  expect(openModel(small)).toEqual({ forest, sha256: small.sha256, seed: 2, trainedAt: AT });
});

test("the default model is the same bytes wherever it is trained", () => {
  expect(trainDefaultModel(AT).sha256).toBe(trainDefaultModel(AT).sha256);
});

const NODES_AT = 24 + 4 * 3;
test.each([
  ["another hash", { ...small, sha256: "0".repeat(64) }, "does not have the hash"],
  ["another schema version", { ...small, schemaVersion: 2 }, "schema version 2"],
  ["another beginning", broken((bytes) => bytes.write("XXXX")), "does not begin like a forest"],
  [
    "fewer bytes",
    {
      ...small,
      trees: small.trees.subarray(0, 500),
      sha256: sha256Hex(small.trees.subarray(0, 500)),
    },
    "where its header says",
  ],
  ["no bytes", { ...small, trees: new Uint8Array(), sha256: sha256Hex("") }, "does not begin"],
  [
    "more nodes than bytes",
    broken((bytes) => bytes.writeUInt32LE(4_000_000_000, 20)),
    "where its header says",
  ],
  ["a root outside", broken((bytes) => bytes.writeInt32LE(1_000_000, 24)), "a root outside"],
  ["a column outside", broken((bytes) => bytes.writeInt8(7, NODES_AT)), "broken node 0"],
])("a model with %s is refused with a clear error", (_name, model, message) => {
  expect(() => openModel(model)).toThrow(message);
});

test("a tree whose right child points back is refused, not walked for ever", () => {
  const looping = broken((bytes) => {
    const nodes = bytes.readUInt32LE(20);
    bytes.writeInt32LE(0, NODES_AT + nodes + 8 * nodes);
  });

  expect(() => openModel(looping)).toThrow("broken node 0");
});

test("a stored model that is broken is left alone, and the default one is used", async () => {
  const saved: StoredModel[] = [];
  const store = {
    newestModel: async () => ({ ...small, sha256: "0".repeat(64) }),
    saveModel: async (model: StoredModel) => void saved.push(model),
  };

  const model = await loadModel({ store, log: silentLog, now: AT });

  expect(model?.sha256).toBe(trainDefaultModel(AT).sha256);
  expect(saved.map(({ sha256 }) => sha256)).toEqual([model?.sha256]);
});

test("without a database the default model still scores from the first minute", async () => {
  const store = {
    newestModel: () => Promise.reject(new Error("connect ECONNREFUSED")),
    saveModel: () => Promise.reject(new Error("connect ECONNREFUSED")),
  };

  expect((await loadModel({ store, log: silentLog, now: AT }))?.forest.roots).toHaveLength(600);
});
