import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { logqlOf } from "../../../hypervisor/logs/logql.ts";
import { HOSTILE_TEXTS } from "../../fixtures/hostile-texts.ts";
import { rowsOf } from "../frame/given.ts";
import { givenLogs, now, type GivenLogs } from "./given.ts";

let given: GivenLogs;
beforeAll(async () => {
  given = await givenLogs();
});
afterAll(async () => given.stop());

async function get(path: string, as = "ana") {
  const response = await fetch(`${given.frame.url}${path}`, {
    headers: { authorization: `Bearer ${as}` },
  });
  return {
    status: response.status,
    body: (await response.json()) as {
      readonly logs: readonly { message: string; timestamp: string; metadata: object }[];
      readonly total: number;
      readonly has_more: boolean;
      readonly services: readonly string[];
      readonly detail: string;
    },
  };
}

test("a service's lines have the form of the API, newest first, and say whether there are more", async () => {
  const at = now();
  const labels = { service_name: "shop/api", level: "info" };
  given.loki.push(labels, [
    [at, "level=info first"],
    [at + 1n, "level=error second"],
    [at + 2n, "level=info third"],
  ]);
  const two = await get("/api/v1/logs/shop%2Fapi?limit=2");
  expect(two.status).toBe(200);
  const seconds = new Date(Number(at / 1_000_000n)).toISOString().slice(0, 19);
  expect(two.body).toEqual({
    logs: [
      {
        timestamp: `${seconds}.${String((at + 2n) % 1_000_000_000n).padStart(9, "0")}Z`,
        message: "level=info third",
        service: "shop/api",
        metadata: labels,
      },
      expect.objectContaining({ message: "level=error second" }),
    ],
    total: 2,
    has_more: true,
  });
  const errors = await get("/api/v1/logs/shop%2Fapi?level=error");
  expect(errors.body.logs.map(({ message }) => message)).toEqual(["level=error second"]);
  const all = await get(
    `/api/v1/logs/shop%2Fapi?start=${at / 1_000_000_000n - 10n}&end=${encodeURIComponent(two.body.logs[0]?.timestamp ?? "")}`,
  );
  expect(all.body.logs.map(({ message }) => message)).toEqual([
    "level=error second",
    "level=info first",
  ]); // the end itself is not meant
  expect((await get("/api/v1/logs/services")).body.services).toContain("shop/api");
});

test("10,000 lines come in as many questions as Loki's own limit needs, none lost or twice", async () => {
  const at = now() - 1_000_000_000n;
  // Four lines in each nanosecond, so that pages end in the middle of one.
  const lines = Array.from({ length: 10_050 }, (_, i) => [at + BigInt(i >> 2), `n${i}`] as const);
  given.loki.push({ service_name: "many" }, lines);
  const { body } = await get("/api/v1/logs/many?limit=10000");
  expect(new Set(body.logs.map(({ message }) => message)).size).toBe(10_000);
  expect(body.has_more).toBe(true);
  expect((await get("/api/v1/logs/many?limit=10001")).status).toBe(400);
});

test("hostile texts are texts: in the service's name and in what is searched for", async () => {
  for (const text of HOSTILE_TEXTS.filter((each) => each.length <= 200 && each.isWellFormed())) {
    if (/[\p{Cc}]/u.test(text)) continue; // the frame refuses them, see below
    const at = now();
    given.loki.push({ service_name: text }, [
      [at, `said: ${text}`],
      [at + 1n, "something else"],
    ]);
    const path = `/api/v1/logs/${encodeURIComponent(text)}?search=${encodeURIComponent(text)}`;
    const { status, body } = await get(path);
    expect([text, status]).toEqual([text, 200]);
    expect(body.logs.map(({ message }) => message)).toEqual([`said: ${text}`]);
  }
});

test("every hostile text, also with control characters, is one string of LogQL", () => {
  for (const text of HOSTILE_TEXTS) {
    const query = logqlOf({ label: "app", service: text, search: text });
    const string = String.raw`"(?:[^"\\\n]|\\["\\bfnrt]|\\u(?!d[89a-f])[0-9a-f]{4})*"`;
    expect(query).toMatch(new RegExp(String.raw`^\{app=${string}\} \|= ${string}$`));
  }
});

test.each([
  ["/api/v1/logs/x?level=LOUD", "level"],
  ["/api/v1/logs/x?start=yesterday", "start"],
  ["/api/v1/logs/x?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "start"],
  ["/api/v1/logs/x?limit=0", "limit"],
  ["/api/v1/logs/x?serach=a", "serach"],
  ["/api/v1/logs/x?search=%00", "search"],
  ["/api/v1/logs/a%0ab?search=%1b", "control"],
])("%s is refused, and the answer names what is wrong", async (path, named) => {
  const { status, body } = await get(path);
  expect(status).toBe(400);
  expect(body.detail).toContain(named);
});

test("who may not read logs gets no line, and an audit row", async () => {
  expect((await get("/api/v1/logs/x", "eve")).status).toBe(403);
  expect((await get("/api/v1/logs/x", "nobody")).status).toBe(401);
  const rows = await rowsOf(given.frame.database);
  expect(rows.filter(({ actor }) => actor === "eve")).toEqual([
    expect.objectContaining({ event: "AccessDenied", result: "Refused" }),
  ]);
});

test("a Loki that fails is not asked for a while, and then again", async () => {
  given.loki.fail(500);
  const first = await get("/api/v1/logs/x");
  expect([first.status, first.body.detail]).toEqual([502, "Loki answered 500."]);
  for (let i = 0; i < 4; i += 1) await get("/api/v1/logs/x");
  const before = given.loki.asked.length;
  const open = await get("/api/v1/logs/x");
  expect([open.status, open.body.detail]).toEqual([503, "Loki has not answered lately."]);
  expect(given.loki.asked.length).toBe(before);
  given.loki.fail(undefined);
  let status = 0;
  for (let i = 0; i < 100 && status !== 200; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    ({ status } = await get("/api/v1/logs/x"));
  }
  expect(status).toBe(200);
});
