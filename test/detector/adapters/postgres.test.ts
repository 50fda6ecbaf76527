import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openStore } from "../../../detector/adapters/postgres.ts";
import { openModel, trainDefaultModel } from "../../../detector/model.ts";
import type { AnomalyStore } from "../../../detector/types/store.ts";
import type { Database } from "../../../lib/postgres.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { anomaly, MAILING } from "../given-anomaly.ts";

let server: TestDatabase;
let database: Database;
let store: AnomalyStore;
beforeAll(async () => {
  server = await createTestDatabase();
  database = openTestDatabase(server.url);
  store = openStore(database);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

test("an anomaly comes back as it was written, and only one per series can be open", async () => {
  const first = anomaly({ id: "one", metric: "m1" });

  expect(await store.open(first, MAILING)).toBe("opened");
  expect(await store.open(first, MAILING)).toBe("already_open");
  expect(await store.open({ ...first, id: "two" }, MAILING)).toBe("already_open");
  expect(await store.open({ ...first, id: "three", series: "bbbbbbbbbbbb" }, MAILING)).toBe(
    "opened",
  );
  const { open } = await store.resume({ name: "m1", expr: first.expr });
  expect(open.find(({ id }) => id === "one")).toEqual(JSON.parse(JSON.stringify(first)));
});

test("what the scorer knew comes back byte by byte, and goes with its anomaly; rows are read without it", async () => {
  const memory = Uint8Array.from({ length: 34_248 }, (_, index) => index % 251);
  const first = anomaly({ id: "remembered", metric: "m9", memory });

  expect(await store.open(first, MAILING)).toBe("opened");
  expect(await store.open({ ...first, memory: new Uint8Array(8) }, MAILING)).toBe("already_open");
  expect(await store.memoryOf("remembered")).toEqual(Buffer.from(memory));
  expect(await store.memoryOf("one")).toBeUndefined();
  expect((await store.find("remembered"))?.memory).toBeUndefined();

  await database.query("DELETE FROM aiops_anomalies WHERE id = 'remembered'");
  expect(await store.memoryOf("remembered")).toBeUndefined();
});

test("64 replicas that open the same episode at once make one row", async () => {
  const verdicts = await Promise.all(
    Array.from({ length: 64 }, async (_, index) =>
      store.open(anomaly({ id: `race${index}`, metric: "race" }), MAILING),
    ),
  );

  expect(verdicts.filter((verdict) => verdict === "opened")).toHaveLength(1);
});

test("a closed episode makes room for the next one, and keeps its cause", async () => {
  const first = anomaly({ id: "c1", metric: "m2" });
  await store.open(first, MAILING);
  const end = { closedAt: first.openedAt + 9e5, closeCause: "recovered" } as const;
  expect(await store.close({ ...first, ...end }, MAILING)).toBe("closed");
  expect(await store.close({ ...first, ...end }, MAILING)).toBe("closed");
  expect(await store.close({ ...first, ...end, id: "never written" }, MAILING)).toBe("unknown");

  expect(await store.open({ ...first, id: "c2" }, MAILING)).toBe("opened");
  const listed = await store.list({ limit: 100 });
  expect(listed.find(({ id }) => id === "c1")).toMatchObject({
    closeCause: "recovered",
    closedAt: first.openedAt + 9e5,
  });
});

test("the list is narrowed by metric and state, the newest first", async () => {
  const of = (id: string, minute: number) =>
    anomaly({ id, metric: "listed", series: id, openedAt: minute * 60_000 });
  for (const [index, id] of ["l1", "l2", "l3"].entries()) await store.open(of(id, index), MAILING);
  await store.close({ ...of("l2", 1), closedAt: 9e5, closeCause: "recovered" }, MAILING);
  const ids = async (filter: object) =>
    (await store.list({ limit: 10, metric: "listed", ...filter })).map(({ id }) => id);

  expect(await ids({})).toEqual(["l3", "l2", "l1"]);
  expect(await ids({ state: "open", limit: 1 })).toEqual(["l3"]);
  expect(await ids({ state: "closed" })).toEqual(["l2"]);
  expect((await store.find("l2"))?.closeCause).toBe("recovered");
  expect(await store.find("none")).toBeUndefined();
});

test("progress is remembered for the same question only", async () => {
  const progress = { name: "p", expr: "up", evaluatedUntil: 1_700_000_040_000 };
  await store.saveProgress([progress], []);
  await store.saveProgress([{ ...progress, evaluatedUntil: 1_700_000_100_000 }], []);

  expect((await store.resume({ name: "p", expr: "up" })).evaluatedUntil).toBe(1_700_000_100_000);
  expect((await store.resume({ name: "p", expr: "down" })).evaluatedUntil).toBeUndefined();
});

test("the time of the last sighting only moves forward", async () => {
  const seen = anomaly({ id: "seen", metric: "seen" });
  await store.open(seen, MAILING);
  await store.saveProgress([], [{ id: "seen", lastSeenAt: seen.openedAt + 3e5 }]);
  await store.saveProgress([], [{ id: "seen", lastSeenAt: seen.openedAt + 1e5 }]);

  const { open } = await store.resume({ name: "seen", expr: "" });
  expect(open[0]?.lastSeenAt).toBe(seen.openedAt + 3e5);
});

test("labels that jsonb cannot hold are stored with a replacement, not refused", async () => {
  const poison = anomaly({ id: "poison", metric: "poison", labels: { a: "x\0y", b: "\ud800" } });

  expect(await store.open(poison, MAILING)).toBe("opened");
  expect((await store.resume({ name: "poison", expr: "" })).open[0]?.labels).toEqual({
    a: "x\ufffdy",
    b: "\ufffd",
  });
});

test("a model survives the database byte for byte, and the newest counts", async () => {
  expect(await store.newestModel()).toBeUndefined();
  const model = trainDefaultModel(new Date("2026-11-20T00:00:00Z"));
  await store.saveModel({ ...model, sha256: "old" });
  await store.saveModel(model);
  await store.saveModel(model);

  const stored = await store.newestModel();

  expect(stored && openModel(stored).sha256).toBe(model.sha256);
  expect((await store.model("old"))?.sha256).toBe("old");
  expect(await store.model("none")).toBeUndefined();
});
