import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openStore } from "../../detector/adapters/postgres.ts";
import { readDefaultModel } from "../../detector/default-model.ts";
import { modelInUse } from "../../detector/model-in-use.ts";
import { openModel, storeModel } from "../../detector/model.ts";
import { syntheticPool, trainForest } from "../../detector/train.ts";
import { FEATURE_COUNT } from "../../detector/features.ts";
import type { Database } from "../../lib/postgres.ts";
import { recordingLog } from "../fakes/recording-log.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenService } from "./given-service.ts";

let server: TestDatabase;
let database: Database;
beforeAll(async () => {
  server = await createTestDatabase();
  database = openTestDatabase(server.url);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

let seed = 0;
/** A good model as the newest row, and then what somebody did to that row. */
async function promote(change: string): Promise<void> {
  seed += 1;
  const forest = trainForest(syntheticPool(FEATURE_COUNT, seed), { seed, trees: 3 });
  const model = storeModel(forest, { seed, trainedAt: new Date(0), pool: "synthetic" });
  await openStore(database).saveModel(model);
  await database.query(
    `UPDATE aiops_models SET ${change} WHERE id = (SELECT max(id) FROM aiops_models)`,
  );
}

const broken = [
  ["another hash", "sha256 = repeat('0', 64)", "does not have the hash"],
  ["a later schema", "schema_version = 99", "schema version 99"],
  ["half of its bytes", "trees = substring(trees FOR length(trees) / 2)", "does not have the hash"],
] as const;

test.each(broken)(
  "a newest row with %s is refused with its reason, at the start and while it runs",
  async (_name, change, why) => {
    await promote(change);
    const shipped = await readDefaultModel();
    const log = recordingLog();
    const old = openModel(shipped);
    const model = modelInUse(old, { store: openStore(database), log, onChange: () => undefined });

    await model.refresh();

    expect(model.current()).toBe(old);
    expect(log.text()).toMatch(/^warn newest model not used, the old one stays/);
    expect(log.text()).toContain(why);

    const world = await givenService(50);
    const { url } = await world.start({ AIOPS_DATABASE_URL: server.url });
    const { checks } = (await (await fetch(`${url}/ready`)).json()) as {
      checks: Record<string, unknown>;
    };
    expect(checks["model"]).toEqual({ ok: true, detail: shipped.sha256 });
  },
);
