import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { json } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { z } from "zod";
import { HttpProblem } from "../../../lib/problem.ts";
import { givenFrame, rowsOf, type Frame } from "./given.ts";

let frame: Frame;
let opened: unknown[] = [];
beforeAll(async () => {
  frame = await givenFrame({
    people: {
      ana: { role: "Admin", permissions: ["*"] },
      otto: { role: "Operator", permissions: ["logs:read"] },
      lea: {
        role: "OrgAdmin",
        permissions: ["container:*"],
        organization: "left",
        projects: new Set(["left-p"]),
      },
    },
    origins: ["https://console.example.com"],
    add: (router) => {
      router.webSocket(
        {
          path: "/ws/terminal/:name",
          permission: "container:exec",
          summary: "a terminal",
          params: z.strictObject({ name: z.string().regex(/^[a-z-]+$/) }),
          query: z.strictObject({ project: z.string().default("default") }),
        },
        async ({ params, query, principal, project }, { socket }) => {
          if (params.name === "broken") throw new Error("the engine room is on fire");
          if (params.name === "closed")
            throw new HttpProblem(403, "Not permitted", "It is closed.");
          project(query.project);
          opened.push([principal.name, params.name, query.project]);
          socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n\r\n");
          return Promise.resolve();
        },
      );
    },
  });
});
afterAll(async () => frame.stop());

async function open(path: string, headers: Readonly<Record<string, string>> = {}) {
  opened = [];
  const { hostname, port } = new URL(frame.url);
  return new Promise<number>((resolve, reject) => {
    const upgrade = request({
      hostname,
      port,
      path,
      headers: { connection: "Upgrade", upgrade: "websocket", ...headers },
    });
    upgrade.on("upgrade", ({ statusCode = 0 }, socket) => {
      socket.destroy();
      resolve(statusCode);
    });
    upgrade.on("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    upgrade.on("error", reject);
    upgrade.end();
  });
}

const ana = { authorization: "Bearer ana" };

test.each([
  ["a token in the header", "/ws/terminal/web", ana],
  ["a token as subprotocol", "/ws/terminal/web", { "sec-websocket-protocol": "tty, bearer.ana" }],
  ["a listed origin", "/ws/terminal/web", { ...ana, origin: "https://console.example.com" }],
])("%s opens it", async (_what, path, headers) => {
  expect(await open(path, headers)).toBe(101);
  expect(opened).toEqual([["ana", "web", "default"]]);
});

test.each([
  ["no token", "/ws/terminal/web", {}, 401],
  ["a wrong token", "/ws/terminal/web", { authorization: "Bearer x" }, 401],
  ["a token in the address", "/ws/terminal/web?token=ana", {}, 401],
  ["no permission", "/ws/terminal/web", { authorization: "Bearer otto" }, 403],
  ["the origin null", "/ws/terminal/web", { ...ana, origin: "null" }, 403],
  ["another origin", "/ws/terminal/web", { ...ana, origin: "https://evil.example.com" }, 403],
  ["a name that is a path", "/ws/terminal/..%2f..", ana, 400],
  ["an unknown parameter", "/ws/terminal/web?projekt=a", ana, 400],
  ["a parameter twice", "/ws/terminal/web?project=a&project=b", ana, 400],
  ["another address", "/ws/other", ana, 404],
  ["a broken address", "/ws/terminal/%ff", ana, 404],
  ["an address that is none", "//", {}, 400],
])("%s: the protocol is not switched", async (_what, path, headers, status) => {
  expect(await open(path, headers)).toBe(status);
  expect(opened).toEqual([]);
});

test("who is refused and does not hang up is hung up on", async () => {
  const { hostname, port } = new URL(frame.url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const refused = new Promise((resolve) => socket.once("data", resolve));
  const gone = new Promise<string>((resolve) =>
    socket.on("error", ({ message }) => {
      resolve(message);
    }),
  );
  socket.write(
    "GET /ws/terminal/web HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  );
  expect(String(await refused)).toMatch(/^HTTP\/1.1 401 /);

  const talking = setInterval(() => socket.write("x"), 20); // only a connection that is closed refuses it

  expect(await gone).toMatch(/ECONNRESET|EPIPE/);
  clearInterval(talking);
  socket.destroy();
});

test("a refusal is on record", async () => {
  await open("/ws/terminal/web", { authorization: "Bearer otto" });

  expect((await rowsOf(frame.database)).at(-1)).toMatchObject({
    actor: "otto",
    event: "AccessDenied",
    result: "Refused",
    target: "hypervisor//route/web",
    ip: "127.0.0.1",
  });
});

test.each([
  [
    "another organization's project",
    ["/ws/terminal/web?project=right-p", { authorization: "Bearer lea" }, 404],
    ["lea", "hypervisor/left/route/web", 'There is no project "right-p".'],
  ],
  [
    "what the handler refuses",
    ["/ws/terminal/closed", ana, 403],
    ["ana", "hypervisor//route/closed", "It is closed."],
  ],
  [
    "another site's page",
    ["/ws/terminal/web", { ...ana, origin: "https://evil.example.com" }, 403],
    ["anonymous", "hypervisor//route/web", "The page's origin is not in HYPERVISOR_CORS_ORIGINS."],
  ],
] as const)(
  "%s on a WebSocket leaves one row, found by the request's id",
  async (what, [path, headers, status], [actor, target, summary]) => {
    const before = (await rowsOf(frame.database)).length;
    const id = what.replaceAll(/\W/g, "-");

    expect(await open(path, { ...headers, "x-correlation-id": id })).toBe(status);

    const rows = (await rowsOf(frame.database)).slice(before);
    const row = { event: "AccessDenied", result: "Refused", ip: "127.0.0.1", correlation: id };
    expect(rows).toEqual([{ ...row, actor, target, summary }]);
  },
);

test("other sites' pages that try again and again fill no table", async () => {
  const before = (await rowsOf(frame.database)).length;
  const evil = { ...ana, origin: "https://evil.example.com" };

  for (let tries = 0; tries < 130; tries += 1) await open("/ws/terminal/web", evil);

  // 60 a minute, of two minutes at most unless the machine sleeps.
  expect((await rowsOf(frame.database)).length - before).toBeLessThan(130);
  expect(await frame.metrics()).toMatch(/arm_hypervisor_refusals_unrecorded_total{[^}]*} [1-9]/);
});

test.each([
  ["from-a-client:1", /^from-a-client:1$/],
  ["not one word", /^[0-9a-f]{8}-[0-9a-f-]{27}$/],
])(
  "a fault is told without its message, logged, counted, and found by its id: %s",
  async (given, id) => {
    const { hostname, port } = new URL(frame.url);
    const headers = {
      connection: "Upgrade",
      upgrade: "websocket",
      "x-correlation-id": given,
      ...ana,
    };
    const upgrade = request({ hostname, port, path: "/ws/terminal/broken", headers });
    const answered = once(upgrade, "response") as Promise<[IncomingMessage]>;
    upgrade.end();
    const [response] = await answered;
    const body = (await json(response)) as Readonly<Record<string, unknown>>;

    expect(response.headers["x-correlation-id"]).toMatch(id);
    expect(body).toEqual({
      type: "about:blank",
      status: 500,
      title: "Internal error",
      correlation_id: response.headers["x-correlation-id"],
    });
    expect(frame.log.text()).toContain(
      "error WebSocket not opened route=/ws/terminal/:name status=500",
    );
    expect(await frame.metrics()).toMatch(
      /fettle_http_requests_total{method="GET",route="\/ws\/terminal\/:name",status="500",[^}]*} [12]\n/,
    );
  },
);
