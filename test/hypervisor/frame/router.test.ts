import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { HttpProblem } from "../../../lib/problem.ts";
import { backend, givenCups, send, type Sent } from "./cups.ts";
import { rowsOf, type Frame } from "./given.ts";

let frame: Frame;
beforeAll(async () => {
  frame = await givenCups();
});
afterAll(async () => frame.stop());
beforeEach(() => {
  backend.calls = 0;
  backend.end = async () => Promise.resolve();
});

async function make(name: string, more: Sent = {}, query = "") {
  return send(frame, `/cups${query}`, { method: "POST", body: { name, size: 3 }, ...more });
}

async function lastRow() {
  return (await rowsOf(frame.database)).at(-1);
}

async function cups(): Promise<readonly string[]> {
  const { rows } = await frame.database.query<{ name: string }>("SELECT name FROM cups");
  return rows.map(({ name }) => name);
}

const fresh = () => `cup-${randomUUID().replaceAll(/[^a-z]/g, "")}`;

test("a change and its audit row come together, and only described fields leave", async () => {
  const name = fresh();

  const made = await make(name, { headers: { "x-correlation-id": "mine-7" } });

  expect(made.status).toBe(201);
  expect(made.body).toEqual({ name, size: 3 });
  expect(made.headers.get("etag")).toBe('"1"');
  expect(made.headers.get("cache-control")).toBe("no-store");
  expect(await lastRow()).toEqual({
    actor: "ana",
    event: "ContainerCreated",
    result: "Success",
    target: `hypervisor//container/${name}`,
    ip: "127.0.0.1",
    summary: "Created a cup",
    correlation: "mine-7",
  });
});

test("a refused change is taken back and stands in the record with its reason", async () => {
  const name = fresh();
  await make(name);

  const again = await make(name);

  expect([again.status, again.body?.["detail"]]).toEqual([409, `There is a cup ${name}.`]);
  expect(await lastRow()).toMatchObject({
    result: "Failure",
    summary: `Created a cup: There is a cup ${name}.`,
  });
});

test("a change that breaks is rolled back, answered 500 without its message, and on record", async () => {
  const name = fresh();

  const broken = await make(name, { body: { name, size: 13 } });

  expect([broken.status, JSON.stringify(broken.body)]).toEqual([
    500,
    expect.not.stringContaining("shelf"),
  ]);
  expect(await cups()).not.toContain(name);
  expect(await lastRow()).toMatchObject({
    result: "Failure",
    summary: "Created a cup: the shelf fell down",
  });
});

test("a dry run checks everything, changes nothing and says what it would answer", async () => {
  const name = fresh();

  const dry = await make(name, {}, "?dryRun=true");

  expect([dry.status, dry.body]).toEqual([
    200,
    {
      dry_run: true,
      action: "ContainerCreated",
      resource_type: "container",
      resource_id: name,
      summary: "Created a cup",
      would: { status: 201, body: { name, size: 3 } },
    },
  ]);
  expect(await cups()).not.toContain(name);
  await make(name);
  expect((await make(name, {}, "?dryRun=true")).status).toBe(409);
});

test("the same key and body get the same answer once more, and nothing is done twice", async () => {
  const name = fresh();
  const headers = { "idempotency-key": name };
  const first = await make(name, { headers });

  const again = await make(name, { headers });

  expect([again.status, again.body]).toEqual([first.status, first.body]);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  expect(again.headers.get("etag")).toBe('"1"');
});

test("the same key with another body is refused: 422", async () => {
  const headers = { "idempotency-key": fresh() };
  await make(fresh(), { headers });

  expect((await make(fresh(), { headers })).status).toBe(422);
});

test("ten requests with one key at once make one change and give one answer", async () => {
  const name = fresh();
  const headers = { "idempotency-key": name };

  const answers = await Promise.all(
    Array.from({ length: 10 }, async () => make(name, { headers })),
  );

  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 201));
});

test("a key belongs to its sender", async () => {
  const headers = { "idempotency-key": fresh() };
  await make(fresh(), { headers });

  expect((await make(fresh(), { as: "org", headers })).status).toBe(201);
});

test("work elsewhere is on record before and after", async () => {
  const filled = await send(frame, "/cups/blue/fill", { method: "POST" });

  expect([filled.status, filled.body]).toEqual([202, { done: true }]);
  const rows = (await rowsOf(frame.database)).slice(-2);
  expect(rows.map(({ event, result }) => `${event} ${result}`)).toEqual([
    "ContainerStarted Started",
    "ContainerStarted Success",
  ]);
});

test("work elsewhere that is refused frees its key; work whose end is unknown keeps it", async () => {
  const headers = { "idempotency-key": fresh() };
  const fill = async () => send(frame, "/cups/blue/fill", { method: "POST", headers });
  backend.end = async () => Promise.reject(new HttpProblem(409, "Conflict", "busy"));
  expect((await fill()).body?.["detail"]).toBe("busy");
  backend.end = async () => Promise.reject(new Error("the connection was lost"));
  expect((await fill()).status).toBe(500);

  const third = await fill();

  expect([third.status, backend.calls]).toEqual([409, 2]);
  expect(third.body?.["detail"]).toMatch(/how it ended is not known/);
});

test("work that a backend cannot do frees its key", async () => {
  const headers = { "idempotency-key": fresh() };
  const fill = async () => send(frame, "/cups/blue/fill", { method: "POST", headers });
  backend.end = async () => Promise.reject(new HttpProblem(501, "Not supported", "no tap"));
  expect((await fill()).status).toBe(501);
  backend.end = async () => Promise.resolve();

  expect([(await fill()).status, backend.calls]).toEqual([202, 2]);
  const rows = (await rowsOf(frame.database)).slice(-4);
  expect(rows.map(({ result }) => result)).toEqual(["Started", "Failure", "Started", "Success"]);
});

test("a second request with the key of work under way is told so, and the work is done once", async () => {
  const headers = { "idempotency-key": fresh() };
  let release: () => void = () => undefined;
  backend.end = async () => new Promise((resolve) => (release = resolve));
  const first = send(frame, "/cups/blue/fill", { method: "POST", headers });
  while (backend.calls === 0) await delay(5);

  const second = await send(frame, "/cups/blue/fill", { method: "POST", headers });
  release();

  expect([second.status, second.headers.get("retry-after")]).toEqual([409, "2"]);
  expect([(await first).status, backend.calls]).toEqual([202, 1]);
});

test("a dry run of work elsewhere does not do it", async () => {
  const dry = await send(frame, "/cups/blue/fill?dryRun=true", { method: "POST" });

  expect([dry.status, dry.body?.["dry_run"], backend.calls]).toEqual([200, true, 0]);
});

test("a mutating route that leaves no audit row is a fault, not a success", async () => {
  expect((await send(frame, "/cups/blue", { method: "DELETE" })).status).toBe(500);
});

test.each([
  ["no permission", "otto", /^otto \(Operator\) does not have container:create$/],
  ["permissions withheld", "new", /^change the password first$/],
])("%s: 403 with the reason, and on record", async (_what, as, reason) => {
  const refused = await make(fresh(), { as });

  expect([refused.status, refused.body?.["detail"]]).toEqual([403, expect.stringMatching(reason)]);
  expect(await lastRow()).toMatchObject({
    actor: as,
    event: "ContainerCreated",
    result: "Refused",
    summary: expect.stringMatching(reason),
  });
});

test("one of several permissions lets in, and the handler's own question decides", async () => {
  const refused = await send(frame, "/cups/blue/fill", { method: "POST", as: "otto" });

  expect([refused.status, refused.body?.["detail"], backend.calls]).toEqual([
    403,
    "otto (Operator) does not have container:start",
    0,
  ]);
});

test("an organization's member sees its projects; others are not there", async () => {
  const foreign = await send(frame, "/cups/blue?project=p2", { as: "org" });
  const own = await send(frame, "/cups/blue?project=p1", {
    as: "org",
    headers: { "if-match": '"8"' },
  });

  expect([foreign.status, own.status]).toEqual([404, 412]);
});
