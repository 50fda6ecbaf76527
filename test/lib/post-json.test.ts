import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { DeliveryError, postJson, type JsonPost } from "../../lib/post-json.ts";
import { isPublicAddress } from "../../lib/public-address.ts";

let requests: { method: string | undefined; headers: IncomingMessage["headers"] }[] = [];
let answer: (response: ServerResponse) => void;
const server = createServer((request, response) => {
  requests.push({ method: request.method, headers: request.headers });
  request.resume().on("end", () => {
    answer(response);
  });
});
let port: number;

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});
beforeEach(() => {
  requests = [];
  answer = (response) => response.end("ok");
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, "close");
});

async function post(more: Partial<JsonPost> = {}): Promise<string> {
  const { signal } = new AbortController();
  const url = `http://127.0.0.1:${port}/hook/secret-in-path`;
  return postJson("Slack", { url, body: "{}", signal, internalHosts: ["127.0.0.1"], ...more });
}

async function failureOf(work: Promise<unknown>): Promise<DeliveryError> {
  const error = await work.catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(DeliveryError);
  return error as DeliveryError;
}

test("sends JSON to a host that is called internal, and gives back what it says", async () => {
  expect(await post({ method: "PATCH", headers: { authorization: "Bearer x" } })).toBe("ok");

  expect(requests).toMatchObject([
    {
      method: "PATCH",
      headers: { "content-type": "application/json", authorization: "Bearer x" },
    },
  ]);
});

test.each([
  ["http to a host that is not internal", "http://hooks.slack.com/x", "begin with https://"],
  ["no address at all", "nonsense", "begin with https://"],
  ["this machine", "https://127.0.0.1/x", "not public"],
  ["this machine, written as a number", "https://2130706433/x", "not public"],
  ["this machine by IPv6", "https://[::1]/x", "not public"],
  ["this machine, IPv4 in IPv6", "https://[::ffff:127.0.0.1]/x", "not public"],
  ["the cloud's metadata", "https://169.254.169.254/latest", "not public"],
])("refuses %s for good, and asks nobody", async (_name, url, why) => {
  const error = await failureOf(post({ url, internalHosts: [] }));

  expect(error).toMatchObject({ kind: "refused", message: expect.stringContaining(why) });
  expect(requests).toEqual([]);
});

test("does not connect to a name that leads to this machine", async () => {
  const error = await failureOf(post({ url: `https://localhost:${port}/x`, internalHosts: [] }));

  expect(error.kind).toBe("unavailable");
  expect(String((error.cause as Error).cause)).toContain("not public");
  expect(requests).toEqual([]);
});

test("follows no redirect", async () => {
  answer = (response) => response.writeHead(307, { location: "/elsewhere" }).end();

  expect((await failureOf(post())).kind).toBe("unavailable");
  expect(requests).toHaveLength(1);
});

test.each<[number, DeliveryError["kind"]]>([
  [400, "refused"],
  [410, "refused"],
  [401, "unavailable"],
  [404, "unavailable"],
  [429, "unavailable"],
  [503, "unavailable"],
])("takes %d as %s", async (status, kind) => {
  answer = (response) => response.writeHead(status).end("no\nway");

  expect(await failureOf(post())).toMatchObject({
    kind,
    message: `Slack answered ${status}: no way`,
    retryAfterMs: 0,
  });
});

test("says how long the receiver wants to be left alone, an hour at most", async () => {
  answer = (response) => response.writeHead(429, { "retry-after": "30" }).end();
  expect((await failureOf(post())).retryAfterMs).toBe(30_000);

  answer = (response) => response.writeHead(429).end('{"retry_after": 0.5}');
  expect((await failureOf(post())).retryAfterMs).toBe(500);

  answer = (response) => response.writeHead(503, { "retry-after": "999999" }).end();
  expect((await failureOf(post())).retryAfterMs).toBe(3_600_000);
});

test("reads no more than it needs of a long answer", async () => {
  answer = (response) => response.end("x".repeat(1_000_000));

  expect(await post()).toHaveLength(64 * 1024);
});

test("gives up after its time, without its address in the error", async () => {
  answer = () => undefined;

  const error = await failureOf(post({ timeoutMs: 100 }));

  expect(error).toMatchObject({ kind: "unavailable", message: "Slack does not answer" });
});

test.each([
  ["8.8.8.8", true],
  ["2606:4700::1111", true],
  ["10.1.2.3", false],
  ["100.64.0.1", false],
  ["172.31.255.255", false],
  ["192.168.1.1", false],
  ["224.0.0.1", false],
  ["255.255.255.255", false],
  ["0.0.0.0", false],
  ["::", false],
  ["fe80::1", false],
  ["fd00:ec2::254", false],
  ["ff02::1", false],
  ["::ffff:8.8.8.8", false],
  ["64:ff9b::7f00:1", false],
  ["2002:7f00:1::", false],
  ["example.com", false],
])("public %s: %s", (address, expected) => {
  expect(isPublicAddress(address)).toBe(expected);
});
