import { expect, test } from "@jest/globals";
import { silentLog } from "../../lib/log.ts";
import { modelInUse } from "../../detector/model-in-use.ts";
import { openModel, trainDefaultModel } from "../../detector/model.ts";
import type { StoredModel } from "../../detector/types/store.ts";

const stored = trainDefaultModel(new Date(0));
const old = { ...openModel(stored), sha256: "old" };

function given(newest: () => Promise<StoredModel | undefined>) {
  const changes: string[] = [];
  const onChange = ({ sha256 }: { sha256: string }) => void changes.push(sha256);
  return {
    changes,
    model: modelInUse(old, { store: { newestModel: newest }, log: silentLog, onChange }),
  };
}

test("a promoted model takes over, once", async () => {
  const { model, changes } = given(async () => stored);

  await model.refresh();
  await model.refresh();

  expect(model.current()?.sha256).toBe(stored.sha256);
  expect(changes).toEqual([stored.sha256]);
});

test.each<[string, () => Promise<StoredModel | undefined>]>([
  ["there is no stored one", async () => undefined],
  ["the database does not answer", async () => Promise.reject(new Error("down"))],
  ["the newest has a wrong hash", async () => ({ ...stored, sha256: "0".repeat(64) })],
  ["the newest is of a later schema", async () => ({ ...stored, schemaVersion: 99 })],
  ["the newest is cut off", async () => ({ ...stored, trees: stored.trees.slice(0, 100) })],
])("the old model stays when %s", async (_name, newest) => {
  const { model, changes } = given(newest);

  await model.refresh();

  expect(model.current()).toBe(old);
  expect(changes).toEqual([]);
});
