import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openStore } from "../../../detector/adapters/postgres.ts";
import { openModel, trainDefaultModel } from "../../../detector/model.ts";
import type { AnomalyStore } from "../../../detector/types.ts";
import { silentLog } from "../../../lib/log.ts";
import { openDatabase, type Database } from "../../../lib/postgres.ts";
import { createTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { anomaly } from "../given-anomaly.ts";

let server: TestDatabase;
let database: Database;
let store: AnomalyStore;
beforeAll(async () => {
  server = await createTestDatabase();
  database = openDatabase({ url: server.url, applicationName: "test-detector" }, silentLog);
  store = openStore(database);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

const DAY_BEFORE = new Date("2026-11-19T10:00:00Z");

test("an anomaly comes back as it was written, and only one per series can be open", async () => {
  const first = anomaly({ id: "one", metric: "m1" });

  expect(await store.open(first)).toBe("opened");
  expect(await store.open(first)).toBe("already_open");
  expect(await store.open({ ...first, id: "two" })).toBe("already_open");
  expect(await store.open({ ...first, id: "three", series: "bbbbbbbbbbbb" })).toBe("opened");
  const { open } = await store.resume({ name: "m1", expr: first.expr });
  expect(open.find(({ id }) => id === "one")).toEqual(JSON.parse(JSON.stringify(first)));
});

test("64 replicas that open the same episode at once make one row", async () => {
  const verdicts = await Promise.all(
    Array.from({ length: 64 }, async (_, index) =>
      store.open(anomaly({ id: `race${index}`, metric: "race" })),
    ),
  );

  expect(verdicts.filter((verdict) => verdict === "opened")).toHaveLength(1);
});

test("a closed episode makes room for the next one, and keeps its cause", async () => {
  const first = anomaly({ id: "c1", metric: "m2" });
  await store.open(first);
  await store.close({ ...first, closedAt: first.openedAt + 9e5, closeCause: "recovered" });

  expect(await store.open({ ...first, id: "c2" })).toBe("opened");
  const listed = await store.recent(100);
  expect(listed.find(({ id }) => id === "c1")).toMatchObject({
    closeCause: "recovered",
    closedAt: first.openedAt + 9e5,
  });
});

test("what was not delivered is found again: the beginning, the end, or both", async () => {
  const at = new Date("2026-11-20T11:00:00Z");
  const of = (id: string) => anomaly({ id, metric: `undelivered-${id}` });
  for (const id of ["never", "half", "done"]) await store.open(of(id));
  for (const id of ["half", "done"]) await store.delivered(id, "firing", at);
  for (const id of ["never", "half", "done"])
    await store.close({ ...of(id), closedAt: at.getTime(), closeCause: "recovered" });
  await store.delivered("done", "resolved", at);

  const waiting = await store.undelivered(DAY_BEFORE);
  const seen = waiting
    .map((one) => `${one.anomaly.id} ${one.status}`)
    .filter((line) => /never|half|done/.test(line));

  expect(seen.sort()).toEqual(["half resolved", "never firing", "never resolved"]);
  expect(await store.undelivered(new Date("2026-11-21T00:00:00Z"))).toEqual([]);
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
  await store.open(seen);
  await store.saveProgress([], [{ id: "seen", lastSeenAt: seen.openedAt + 3e5 }]);
  await store.saveProgress([], [{ id: "seen", lastSeenAt: seen.openedAt + 1e5 }]);

  const { open } = await store.resume({ name: "seen", expr: "" });
  expect(open[0]?.lastSeenAt).toBe(seen.openedAt + 3e5);
});

test("labels that jsonb cannot hold are stored with a replacement, not refused", async () => {
  const poison = anomaly({ id: "poison", metric: "poison", labels: { a: "x\0y", b: "\ud800" } });

  expect(await store.open(poison)).toBe("opened");
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
});
