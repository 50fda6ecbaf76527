import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { WebSocket } from "ws";
import { createWatch, type Watch } from "../../../hypervisor/live/watch.ts";
import { addProxyRoutes } from "../../../hypervisor/routes/proxy.ts";
import { proxyTargets } from "../../../hypervisor/proxy/targets.ts";
import { systemClock } from "../../../lib/clock.ts";
import { silentLog } from "../../../lib/log.ts";
import { Secret } from "../../../lib/secret.ts";
import { until } from "../backends/contract/subject.ts";
import { givenFrame, rowsOf, type Frame } from "../frame/given.ts";
import { startUpstream, type Seen, type Upstream } from "./upstream.ts";

let frame: Frame;
let watch: Watch;
let upstream: Upstream;
let seen: Seen[];
const signedOut = new Set<string>();

beforeAll(async () => {
  upstream = await startUpstream();
  ({ seen } = upstream);
  const { url } = upstream;
  const clock = systemClock;
  const standing = async (
    principal: Parameters<Parameters<typeof createWatch>[0]["standing"]>[0],
  ) => Promise.resolve(signedOut.has(principal.name) ? undefined : principal);
  watch = createWatch({ standing, clock, log: silentLog, lookMs: 50 });
  frame = await givenFrame({
    people: {
      ana: { permissions: ["dashboards:read", "logs:read"] },
      adam: { permissions: ["*"] },
      olga: { permissions: ["*"], organization: "acme" },
      eve: {},
    },
    add: (router, database) => {
      addProxyRoutes(router, {
        proxyTargets: proxyTargets(
          {
            grafana: { url: `${url}/sub` },
            prometheus: { url: "http://127.0.0.1:1" },
            loki: { url, token: new Secret("loki-secret"), tenant: "ours" },
          },
          { userHeader: "X-WEBAUTH-USER", roleHeader: "X-WEBAUTH-ROLE" },
        ),
        database,
        watch,
        log: silentLog,
        silenceMs: 3_000,
      });
    },
  });
});
afterAll(async () => {
  await watch.stop();
  await frame.stop();
  upstream.stop();
});
beforeEach(() => {
  seen.length = 0;
});

/** Exactly these bytes, as no client library would send them. @returns the status and the whole answer */
async function raw(
  target: string,
  lines: readonly string[] = [],
  { method = "GET", body = "", as = "ana" } = {},
) {
  const { port } = new URL(frame.url);
  const socket = connect(Number(port), "127.0.0.1");
  const head = [`${method} ${target} HTTP/1.1`, `Authorization: Bearer ${as}`, "Connection: close"];
  const host = lines.some((line) => /^host:/i.test(line)) ? [] : ["Host: fettle"];
  socket.write([...head, ...host, ...lines, "", body].join("\r\n"));
  let answer = "";
  socket.on("data", (piece: Buffer) => (answer += piece.toString("utf8")));
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("close", resolve));
  return { status: Number(answer.split(" ")[1]), answer };
}

test("a request is passed on below the configured address, with our words about who asks and none of the client's", async () => {
  const { status, answer } = await raw("/grafana/d/abc?var-x=a%2Fb&y=%00", [
    "Cookie: fettle=secret; grafana_session=stolen",
    "X-WEBAUTH-USER: admin",
    "x_webauth_user: admin",
    "X-WEBAUTH-ROLE: Admin",
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Host: evil.example",
    "Forwarded: for=6.6.6.6",
    "Origin: http://fettle",
    "Referer: http://fettle/secret",
    "X-Scope-OrgID: theirs",
    "Proxy-Authorization: Basic eDp5",
    "Connection: close, X-Dropped",
    "X-Dropped: 1",
    "X-Kept: yes",
  ]);
  expect(status).toBe(200);
  expect(answer).toContain("it is me");
  const [{ url, headers } = { url: "", headers: {} }] = seen;
  expect(url).toBe("/sub/d/abc?var-x=a%2Fb&y=%00");
  expect(headers).toEqual({
    host: new URL(upstream.url).host,
    "x-webauth-user": "ana",
    "x-webauth-role": "Viewer",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-prefix": "/grafana",
    "x-correlation-id": expect.stringMatching(/./),
    "x-kept": "yes",
    connection: expect.stringMatching(/^(close|keep-alive)$/),
  });
});

test("of the answer neither cookies nor what is about one connection comes back", async () => {
  const { answer } = await raw("/grafana/");
  expect(answer).toMatch(/x-of: upstream/i);
  expect(answer).not.toMatch(/set-cookie|x-hop|content-security-policy/i);
});

test("our own credentials for the server are sent to it, and its tenant", async () => {
  await raw("/loki/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D", ["X-Scope-OrgID: theirs"]);
  expect(seen[0]?.headers).toEqual(
    expect.objectContaining({ authorization: "Bearer loki-secret", "x-scope-orgid": "ours" }),
  );
});

test.each([
  ["http://169.254.169.254/grafana/latest/meta-data"],
  ["http://evil.example/grafana/"],
  ["/grafana/../api/v1/users"],
  ["/grafana/..;/x"],
  ["/grafana/%2e%2e/x"],
  ["/grafana/.%2E/x"],
  ["/grafana/a/./b"],
  ["/grafana/a%2f..%2fb"],
  ["/grafana/a%5c..%5cb"],
  ["/grafana/a\\..\\b"],
  ["/grafana/%252e%252e/x"],
  ["/grafana/a%00b"],
  ["/grafana/a%0d%0aX-Evil:1"],
  ["/grafana/a%3fb"],
  ["/grafana/a#b"],
  ["/grafana/%ff%zz"],
  [`/grafana/${"x".repeat(9_000)}`],
])("%s is refused and nobody is asked", async (target) => {
  const { status } = await raw(target);
  expect([target.slice(0, 60), status]).toEqual([target.slice(0, 60), 400]);
  expect(seen).toEqual([]);
});

test.each([
  ["//evil.example/grafana/", 404],
  ["/grafanax/secret", 404],
  ["/grafana@evil.example/x", 404],
  ["/GRAFANA/x", 400],
])("%s leads nowhere", async (target, status) => {
  expect((await raw(target)).status).toBe(status);
  expect(seen).toEqual([]);
});

test("where a request goes says the configuration alone: neither its Host nor an @ in its path", async () => {
  expect((await raw("/grafana/@evil.example/x", ["Host: evil.example"])).status).toBe(200);
  expect((await raw("/grafana//evil.example/x")).status).toBe(200);
  expect(seen.map(({ url }) => url)).toEqual(["/sub/@evil.example/x", "/sub//evil.example/x"]);
});

test("a body passes with every framing, and is no second request", async () => {
  const smuggled = "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n";
  const chunked = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;
  const te = ["Transfer-Encoding: chunked"];
  const posted = await raw("/grafana/api/ds/query", te, { method: "POST", body: chunked });
  expect(posted.status).toBe(200);
  const deleted = await raw("/grafana/api/x", te, { method: "DELETE", body: chunked, as: "adam" });
  expect(deleted.status).toBe(200);
  expect(seen.map(({ method, body }) => [method, body])).toEqual([
    ["POST", smuggled],
    ["DELETE", smuggled],
  ]);
  seen.length = 0;
  expect((await raw("/grafana/x", te, { body: chunked })).status).toBe(400);
  const length = [`Content-Length: ${smuggled.length}`];
  expect((await raw("/grafana/x", length, { body: smuggled })).status).toBe(400);
  expect(seen).toEqual([]);
});

test("a body that is too large is refused, also when its length is not told", async () => {
  const post = async (body: string | ReadableStream, length: object) =>
    fetch(`${frame.url}/grafana/api/ds/query`, {
      method: "POST",
      headers: { authorization: "Bearer ana" },
      body,
      ...length,
    }).then(({ status }) => status);
  expect(await post("x".repeat(9 * 1024 * 1024), {})).toBe(413);
  let pieces = 0;
  const endless = new ReadableStream({
    pull: (controller) => {
      pieces += 1;
      if (pieces > 200) controller.close();
      else controller.enqueue(Buffer.alloc(64 * 1024));
    },
  });
  const status = await post(endless, { duplex: "half" }).catch(() => "cut");
  expect([413, "cut"]).toContain(status);
});

test.each([
  ["/d/abc", undefined], // not below the configured address
  ["/sub/login?a=1", "/grafana/login?a=1"],
  ["/grafana/login", "/grafana/login"],
  ["https://evil.example/", undefined],
  ["//evil.example/", undefined],
])("a redirect to %s becomes %s", async (to, wanted) => {
  const response = await fetch(`${frame.url}/grafana/x?to=${encodeURIComponent(to)}`, {
    headers: { authorization: "Bearer ana" },
    redirect: "manual",
  });
  expect(response.status).toBe(302);
  expect(response.headers.get("location") ?? undefined).toBe(wanted);
});

test("who may not see it, or belongs to an organization, gets 403; a stranger 401", async () => {
  expect((await raw("/grafana/", [], { as: "eve" })).status).toBe(403);
  expect((await raw("/grafana/", [], { as: "olga" })).status).toBe(403);
  expect((await raw("/grafana/", [], { as: "nobody" })).status).toBe(401);
  expect((await raw("/prometheus/graph")).status).toBe(403);
  expect(seen).toEqual([]);
});

test("who looks may not change; a change is in the audit log, with its end", async () => {
  expect((await raw("/grafana/api/dashboards/db", [], { method: "POST" })).status).toBe(403);
  expect(seen).toEqual([]);
  const made = await raw("/grafana/api/dashboards/db", [], { method: "POST", as: "adam" });
  expect([made.status, seen[0]?.headers["x-webauth-role"]]).toEqual([200, "Admin"]);
  const summary = "POST /grafana/api/dashboards/db";
  const results = async () =>
    (await rowsOf(frame.database))
      .filter((row) => row.event === "ConfigurationChanged" && row.summary === summary)
      .map(({ actor, result }) => `${actor} ${result}`);
  await until(async () => (await results()).length > 1); // the last one is written after the answer
  expect(await results()).toEqual(["adam Started", "adam Success"]);
});

test("a server that is not there is a 502, one that says nothing a 504, and half an answer is never whole", async () => {
  expect((await raw("/prometheus/graph", [], { as: "adam" })).status).toBe(502);
  expect((await raw("/grafana/hang")).status).toBe(504);
  await expect(
    fetch(`${frame.url}/grafana/cut`, { headers: { authorization: "Bearer ana" } }).then(
      async (response) => response.text(),
    ),
  ).rejects.toThrow();
});

test("WebSockets are passed through with the same rules, and end with the login", async () => {
  const address = `${frame.url.replace("http", "ws")}/grafana/api/live/ws?a=1`;
  const socket = new WebSocket(address, ["v1", "bearer.ana"], {
    headers: { cookie: "fettle=secret", "x-webauth-user": "admin", "x-correlation-id": "its-own" },
  });
  const answered = new Promise<IncomingMessage>((resolve) => socket.once("upgrade", resolve));
  const told: string[] = [];
  socket.on("message", (data: Buffer) => told.push(data.toString("utf8")));
  await new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
  });
  expect((await answered).headers["x-correlation-id"]).toBe("its-own");
  socket.send("hello");
  await until(async () => Promise.resolve(told.length === 1));
  expect(told).toEqual(["echo hello"]);
  const [{ url, headers } = { url: "", headers: {} as Seen["headers"] }] = seen;
  expect(url).toBe("/sub/api/live/ws?a=1");
  expect(headers["x-webauth-user"]).toBe("ana");
  expect(headers["sec-websocket-protocol"]).toBe("v1");
  expect([headers["cookie"], headers["authorization"]]).toEqual([undefined, undefined]);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  signedOut.add("ana");
  await closed;
  await until(async () => Promise.resolve(watch.size() === 0));
  signedOut.clear();
});

test("a proxy's no to a WebSocket is on record", async () => {
  const socket = new WebSocket(`${frame.url.replace("http", "ws")}/loki/loki/api/v1/push`, [
    "bearer.ana",
  ]);
  await new Promise((resolve) => socket.once("error", resolve));

  expect((await rowsOf(frame.database)).at(-1)).toMatchObject({
    ...{ actor: "ana", event: "AccessDenied", result: "Refused" },
    summary: expect.stringMatching(/^This address of Loki is not passed on/),
  });
});

test.each([
  ["/loki/loki/api/v1/push", "ana", 403],
  ["/grafana/../x", "ana", 404],
  ["/grafana/%2e%2e/x", "ana", 404],
  ["/grafana/a%2fb", "ana", 400],
  ["/grafana/live", "eve", 403],
])("a WebSocket to %s is refused", async (path, as, status) => {
  const answer = await raw(
    path,
    [
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ],
    { as },
  );
  expect(answer.status).toBe(status);
  expect(seen).toEqual([]);
});
