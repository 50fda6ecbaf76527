import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openLabelBook } from "../../detector/adapters/label-book.ts";
import { openStore } from "../../detector/adapters/postgres.ts";
import { isMasked, masksOf } from "../../detector/tools/masks.ts";
import type { LabelBook } from "../../detector/types/labels.ts";
import type { AnomalyStore } from "../../detector/types/store.ts";
import type { Database } from "../../lib/postgres.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { anomaly, MAILING } from "./given-anomaly.ts";
import { givenService } from "./given-service.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const HOUR = 3_600_000;

let server: TestDatabase;
let database: Database;
let store: AnomalyStore;
let book: LabelBook;
beforeAll(async () => {
  server = await createTestDatabase();
  database = openTestDatabase(server.url);
  store = openStore(database);
  book = openLabelBook(database);
});
afterAll(async () => {
  await database.close();
  await server.drop();
});

async function post(
  url: string,
  { id = "x", token = TOKEN, body = {} }: { id?: string; token?: string; body?: unknown },
) {
  const response = await fetch(`${url}/anomalies/${id}/labels`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

test("a label is stored with who said it, and shown in the JSON and on the page", async () => {
  const world = await givenService(5);
  const env = { AIOPS_DATABASE_URL: server.url, DETECTOR_API_TOKEN: TOKEN };
  const { url } = await world.start(env);
  await world.minutes(8, { url });
  const id = world.anomalies[0]?.id ?? "";

  const body = { label: "expected_change", by: " Ana ", note: "release <b>7</b>\nplanned" };
  const answer = await post(url, { id, body });

  expect(answer).toMatchObject({ status: 201, body: { label: "expected_change", by: "Ana" } });
  const anomalyNow = await (await fetch(`${url}/anomalies/${id}`)).json();
  expect(anomalyNow).toMatchObject({ feedback: [{ ...body, by: "Ana" }] });
  const headers = { accept: "text/html" };
  const page = await (await fetch(`${url}/anomalies/${id}`, { headers })).text();
  expect(page).toContain("<strong>expected change</strong> by Ana");
  expect(page).toContain("release &lt;b&gt;7&lt;/b&gt;");
});

test.each([
  [{ by: "a" }, "label: must be one of false_positive, real, expected_change"],
  [{ label: "maybe", by: "a" }, "label: must be one of false_positive, real, expected_change"],
  [{ label: "real" }, "by: must be a text"],
  [{ label: "real", by: "  " }, "by: must not be empty"],
  [{ label: "real", by: "a\nb" }, "by: must not contain control characters"],
  [{ label: "real", by: "a", note: "\0" }, "note: must not contain control characters"],
  [{ label: "real", by: "a", note: "x".repeat(2001) }, "note: must be at most 2000 characters"],
  [{ label: "real", by: "a", why: "x" }, 'Unrecognized key: "why"'],
  ["[]", "expected object"],
])("%j is refused by the name of its field", async (body, detail) => {
  const world = await givenService(5);
  const { url } = await world.start({ DETECTOR_API_TOKEN: TOKEN });

  const answer = await post(url, { body });

  expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringContaining(detail) } });
});

test("nobody labels without the token, nor when none is configured, nor what does not exist", async () => {
  const world = await givenService(5);
  const closed = await world.start();
  const label = { label: "real", by: "a" };

  expect((await post(closed.url, { body: label })).status).toBe(403);
  const open = await world.start({ DETECTOR_API_TOKEN: TOKEN, AIOPS_DATABASE_URL: server.url });
  expect((await post(open.url, { token: "wrong", body: "not even JSON" })).status).toBe(401);
  expect((await post(open.url, { body: "{" })).status).toBe(400);
  expect((await post(open.url, { body: { ...label, note: "x".repeat(20_000) } })).status).toBe(413);
  expect((await post(open.url, { id: "anomaly_none", body: label })).status).toBe(404);
  const memory = await world.start({ DETECTOR_API_TOKEN: TOKEN });
  expect((await post(memory.url, { body: label })).status).toBe(503);
});

test("training leaves out anomalies, but not those that a person called false", async () => {
  const at = Date.parse("2026-11-20T10:00:00Z");
  const of = (id: string) => anomaly({ id, metric: "masked", series: id, openedAt: at });
  for (const id of ["open", "closed", "false", "real", "changed"])
    await store.open(of(id), MAILING);
  const end = { closedAt: at + HOUR, closeCause: "recovered" } as const;
  await store.close({ ...of("closed"), ...end }, MAILING);
  const say = async (id: string, label: "false_positive" | "real") =>
    book.add(id, { label, by: "a", note: undefined });
  await say("false", "false_positive");
  await say("real", "real");
  await say("changed", "real");
  await say("changed", "false_positive");

  const range = { from: new Date(at - HOUR), to: new Date(at + 5 * HOUR) };
  const masks = (await book.masks(range)).filter(({ metric }) => metric === "masked");

  expect(masks.map(({ series, cause }) => [series, cause])).toEqual([
    ["closed", "unlabelled"],
    ["open", "unlabelled"],
    ["real", "real"],
  ]);
  const isLeftOut = (metric: string, series: string, t: number) =>
    isMasked(masksOf({ metric, series, labels: {} }, masks), t);
  expect(isLeftOut("masked", "closed", at)).toBe(true);
  expect(isLeftOut("masked", "closed", at + HOUR + 1)).toBe(false);
  expect(isLeftOut("masked", "open", at + 1000 * HOUR)).toBe(true);
  expect(isLeftOut("masked", "false", at)).toBe(false);
  expect(isLeftOut("other", "open", at)).toBe(false);
});

test("what was labelled is found by the time at which it opened, with the newest word about it", async () => {
  const at = Date.parse("2026-11-10T10:00:00Z");
  const of = (id: string, openedAt: number) =>
    anomaly({ id, metric: "found", series: id, openedAt });
  for (const [id, t] of [
    ["before", at - HOUR],
    ["first", at],
    ["last", at + HOUR],
    ["silent", at],
  ] as const) {
    await store.open(of(id, t), MAILING);
  }
  const end = { closedAt: at + 2 * HOUR, closeCause: "recovered" } as const;
  await store.close({ ...of("first", at), ...end }, MAILING);
  for (const id of ["before", "first", "last"]) {
    await book.add(id, { label: "real", by: "a", note: undefined });
  }
  await book.add("last", { label: "expected_change", by: "b", note: undefined });

  const found = await book.labelled({ from: new Date(at), to: new Date(at + HOUR) });

  expect(found.filter(({ metric }) => metric === "found")).toEqual([
    {
      ...{ id: "last", metric: "found", series: "last", label: "expected_change" },
      ...{ openedAt: at + HOUR, closedAt: undefined },
    },
    {
      ...{ id: "first", metric: "found", series: "first", label: "real" },
      ...{ openedAt: at, closedAt: at + 2 * HOUR },
    },
  ]);
});

test("a word about an anomaly that nobody knows is not stored", async () => {
  const label = { label: "real", by: "a", note: undefined } as const;

  expect(await book.add("none", label)).toBe("unknown_anomaly");
  expect(await book.list("none")).toEqual([]);
});
