import { once } from "node:events";
import { connect } from "node:net";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { signBody } from "../../lib/signature.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { frame, givenService, HMAC_KEY, post, TOKEN, type GivenService } from "./given-service.ts";

const MEBIBYTE = 1024 * 1024;
const BEARER = { authorization: `Bearer ${TOKEN}` };

let service: GivenService;

beforeAll(async () => {
  service = await givenService();
});
afterAll(async () => service.stop());

interface InboxRow {
  readonly source: string;
  readonly deliveries: number;
  readonly error: string | null;
}

async function inbox(): Promise<readonly InboxRow[]> {
  return (
    await service.database.query<InboxRow>(
      "SELECT source, deliveries, error FROM inbox ORDER BY id",
    )
  ).rows;
}

afterEach(async () => {
  await service.database.query("DELETE FROM inbox");
});

/** Status of an answer that must be a problem document of the same status. */
async function problemOf(response: Response): Promise<{ status: number; detail?: string }> {
  expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  const problem = (await response.json()) as { status: number; detail?: string };
  expect(problem).toMatchObject({ status: response.status, correlation_id: expect.any(String) });
  return problem;
}

describe("an alert that is stored", () => {
  test("is answered with 202 and a receipt, and the same bytes again as a duplicate", async () => {
    const body = frame();

    const first = await post(service, body);
    const second = await post(service, body);

    expect([first.status, second.status]).toEqual([202, 202]);
    const { id } = (await first.json()) as { id: string };
    expect(id).toMatch(/^\d+$/);
    expect(await second.json()).toEqual({ id, accepted: 0, duplicate: 1 });
    expect(await inbox()).toMatchObject([{ source: "alertmanager", deliveries: 2, error: null }]);
  });

  test("may come by POST or PUT, to /alertmanager or /alerts", async () => {
    for (const path of ["/alertmanager", "/alerts"]) {
      for (const method of ["POST", "PUT"]) {
        expect((await post(service, frame(), BEARER, { path, method })).status).toBe(202);
      }
    }
    expect(await inbox()).toHaveLength(4);
  });

  test("may be packed with gzip or brotli", async () => {
    const gzip = await post(service, gzipSync(frame()), { ...BEARER, "content-encoding": "gzip" });
    const brotli = await post(service, brotliCompressSync(frame()), {
      ...BEARER,
      "content-encoding": "br",
    });

    expect([gzip.status, brotli.status]).toEqual([202, 202]);
  });

  test("is one row when it comes a hundred times at the same moment", async () => {
    const body = frame();

    const answers = await Promise.all(Array.from({ length: 100 }, async () => post(service, body)));
    const receipts = (await Promise.all(answers.map(async (answer) => answer.json()))) as {
      accepted: number;
    }[];

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(receipts.filter(({ accepted }) => accepted === 1)).toHaveLength(1);
    expect(await inbox()).toMatchObject([{ deliveries: 100 }]);
  });

  test("may hold 5,000 alerts, and is answered within 2 s", async () => {
    const { alerts, ...rest } = JSON.parse(frame()) as { alerts: object[] };
    const many = Array.from({ length: 5_000 }, (_, at) => ({
      ...alerts[0],
      annotations: { description: "x".repeat(600) },
      fingerprint: `big-${at}`,
    }));
    const body = JSON.stringify({ ...rest, alerts: many });
    const start = performance.now();

    const answer = await post(service, body);

    expect(await answer.json()).toMatchObject({ accepted: 5_000 });
    expect(performance.now() - start).toBeLessThan(2_000);
    expect(body.length).toBeGreaterThan(4 * MEBIBYTE);
  });
});

describe("a sender", () => {
  const now = () => Math.floor(Date.now() / 1000);
  const signed = (body: string, seconds: number, key = HMAC_KEY) => ({
    "x-fettle-timestamp": String(seconds),
    "x-fettle-signature": signBody(key, seconds, body),
  });

  test("may sign instead of showing a token, and is the detector then", async () => {
    const body = frame();

    expect((await post(service, body, signed(body, now()))).status).toBe(202);
    expect(await inbox()).toMatchObject([{ source: "detector" }]);
  });

  test("may use basic authentication", async () => {
    const basic = Buffer.from(`alertmanager:${TOKEN}`).toString("base64");

    expect((await post(service, frame(), { authorization: `Basic ${basic}` })).status).toBe(202);
  });

  const body = frame();
  test.each<[string, Record<string, string>]>([
    ["nothing", {}],
    ["a wrong token", { authorization: "Bearer wrong" }],
    ["a token with an ending", { authorization: `Bearer ${TOKEN}x` }],
    ["another scheme", { authorization: `Digest ${TOKEN}` }],
    ["the token in a wrong header", { "x-api-key": TOKEN }],
    ["a signature with another key", signed(body, now(), "another")],
    ["a signature of another body", signed("{}", now())],
    ["a signature of 6 minutes ago", signed(body, now() - 360)],
    ["a signature of 6 minutes ahead", signed(body, now() + 360)],
    ["a signature without its time", { "x-fettle-signature": signBody(HMAC_KEY, now(), body) }],
  ])("with %s gets 401, and nothing is stored", async (_name, headers) => {
    const answer = await post(service, body, headers);

    expect(await problemOf(answer)).toMatchObject({ status: 401 });
    expect(await inbox()).toEqual([]);
  });

  test("may not put the token into the address, where it would be logged", async () => {
    const path = `/alertmanager?token=${TOKEN}&api-key=${TOKEN}`;

    expect((await post(service, frame(), {}, { path })).status).toBe(401);
    expect(service.log.text()).not.toContain(TOKEN);
  });
});

/** Sends the head of a request and perhaps some of its body, never its end, and reads the head of the answer. */
async function answerToHead(headers: readonly string[], part = ""): Promise<string> {
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  socket.write(["POST /alertmanager HTTP/1.1", "Host: x", ...headers, "", part].join("\r\n"));
  const [answer] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return answer.toString();
}

describe("a body that cannot be taken", () => {
  test("is not read at all from a stranger, however long it is said to be", async () => {
    const start = performance.now();

    const answer = await answerToHead(["Content-Length: 1000000000000"]);

    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  test("over 16 MiB is refused with 413, and not waited for", async () => {
    const bearer = `Authorization: Bearer ${TOKEN}`;
    const chunks = `${MEBIBYTE.toString(16)}\r\n${" ".repeat(MEBIBYTE)}\r\n`.repeat(17);
    const times: number[] = [];
    for (let time = 0; time < 3; time += 1) {
      const start = performance.now();
      const announced = await answerToHead([bearer, "Content-Length: 16777217"]);
      const endless = await answerToHead([bearer, "Transfer-Encoding: chunked"], chunks);
      times.push(performance.now() - start);
      expect(announced).toMatch(/^HTTP\/1\.1 413 Payload Too Large\r\n/);
      expect(endless).toMatch(/^HTTP\/1\.1 413 /);
    }
    const answer = await post(service, Buffer.alloc(17 * MEBIBYTE, " "));

    expect(await problemOf(answer)).toMatchObject({ status: 413 });
    expect(Math.min(...times)).toBeLessThan(2_000); // one of three is not held up by a busy machine
    expect(await inbox()).toEqual([]);
  });

  test("is measured unpacked: a gzip bomb is 413", async () => {
    const bomb = gzipSync(Buffer.alloc(200 * MEBIBYTE));
    expect(bomb.length).toBeLessThan(MEBIBYTE);

    const answer = await post(service, bomb, { ...BEARER, "content-encoding": "gzip" });

    expect(await problemOf(answer)).toMatchObject({ status: 413 });
  });

  test("in an unknown encoding is 415, and broken gzip is 400", async () => {
    const unknown = await post(service, frame(), { ...BEARER, "content-encoding": "zebra" });
    const broken = await post(service, frame(), { ...BEARER, "content-encoding": "gzip" });

    expect([await problemOf(unknown), await problemOf(broken)]).toMatchObject([
      { status: 415 },
      { status: 400 },
    ]);
  });

  test.each([
    ["no body", undefined, /not JSON/],
    ["no JSON", "{", /not JSON/],
    ["another JSON", "[]", /body: /],
    [
      "a wrong field",
      frame().replace('"startsAt":"2026', '"startsAt":"x2026'),
      /^alerts\.0\.startsAt: /,
    ],
    ["another version", frame().replace('"version":"4"', '"version":"3"'), /^version: must be "4"/],
    ["bytes that are not UTF-8", Buffer.from([0x22, 0xff, 0x22]), /UTF-8/],
    ["deep nesting", "[".repeat(10_000) + "]".repeat(10_000), /32 levels/],
  ])(
    "with %s is 400, says what is wrong, and is kept for its sender",
    async (_name, body, detail) => {
      const answer = await post(service, body);

      expect((await problemOf(answer)).detail).toMatch(detail);
      expect(answer.status).toBe(400);
      expect(await inbox()).toMatchObject([{ error: expect.stringMatching(detail) }]);
    },
  );

  test("with NUL and lone surrogates in a label is taken: a 500 would be sent for ever", async () => {
    const body = frame({ labels: { pod: "a\0b" } }).replace('"shop"', '"shop","x":"\\ud800"');

    expect((await post(service, body)).status).toBe(202);
  });
});

test("an alert that was accepted becomes a run, with the plan that people are asked about", async () => {
  await post(service, frame({ app: "checkout" }));

  await waitUntil("the question", async () => {
    const { rowCount } = await service.database.query(
      "SELECT 1 FROM runs WHERE state = 'approval_pending' AND plan->>'action' = 'rollout_restart'",
    );
    return rowCount === 1;
  });
  expect(service.kubernetes.mutations()).toEqual([]);
});

test("no answer to a sender is one that Alertmanager takes as final although it could be repeated", async () => {
  const metrics = await (await fetch(`${service.url}/metrics`)).text();
  const statuses = [
    ...metrics.matchAll(/^fettle_http_requests_total\{.*route="\/alert.*status="(\d+)".*\} /gm),
  ]
    .map(([, status]) => status)
    .filter((status) => status !== "503"); // which senders repeat; a busy machine gives some

  expect(new Set(statuses)).toEqual(new Set(["202", "400", "401", "413", "415"]));
});
