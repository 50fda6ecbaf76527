import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { z } from "zod";
import { clientAddress } from "../../../hypervisor/frame/client-address.ts";
import { givenFrame, rowsOf, type Frame } from "./given.ts";

let frame: Frame;
beforeAll(async () => {
  frame = await givenFrame({
    people: {
      ana: { permissions: ["*"] },
      ben: { permissions: ["*"] },
      otto: { name: "otto", permissions: [] },
    },
    perMinute: 5,
    add: (router) => {
      router.route(
        {
          method: "get",
          path: "/cups",
          permission: "container:read",
          summary: "",
          answers: { 200: z.object({ n: z.int() }) },
        },
        async () => Promise.resolve({ status: 200 as const, body: { n: 1 } }),
      );
      const socket = { path: "/ws/cups", permission: "container:exec", summary: "" } as const;
      router.webSocket(socket, async () => Promise.resolve());
    },
  });
});
afterAll(async () => frame.stop());

async function get(token: string) {
  return fetch(`${frame.url}/cups`, { headers: { authorization: `Bearer ${token}` } });
}

async function upgrade(token: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      connection: "Upgrade",
      upgrade: "websocket",
      authorization: `Bearer ${token}`,
    };
    const asked = request(`${frame.url}/ws/cups`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("a token has its number of requests a minute, and then 429; another has its own", async () => {
  const answers = [];
  for (let nth = 0; nth < 6; nth += 1) answers.push(await get("ana"));

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429]);
  expect(Number(answers[5]?.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(answers[5]?.headers.get("content-type")).toMatch(/problem\+json/);
  expect(answers[0]?.headers.get("ratelimit")).toMatch(/"api"; r=4; t=\d+/);
  expect((await get("ben")).status).toBe(200);
});

test("made-up tokens share the allowance of their address", async () => {
  const statuses = [];
  for (let nth = 0; nth < 6; nth += 1) statuses.push((await get(`made-up-${nth}`)).status);

  expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
  expect((await get("ben")).status).toBe(200);
});

test("WebSockets count as well, before a refusal is written down", async () => {
  const statuses = [];
  for (let nth = 0; nth < 7; nth += 1) statuses.push(await upgrade("otto"));

  expect(statuses).toEqual([403, 403, 403, 403, 403, 429, 429]);
  const rows = (await rowsOf(frame.database)).filter(({ actor }) => actor === "otto");
  expect(rows.length).toBe(5);
});

test("operations are not limited", async () => {
  for (let nth = 0; nth < 10; nth += 1)
    expect((await fetch(`${frame.url}/health`)).status).toBe(200);
});

test.each([
  ["no proxy of ours", "9.9.9.9", [], "10.0.0.1"],
  ["our proxy", "9.9.9.9", ["10.0.0.1"], "9.9.9.9"],
  ["a client that says more", "1.1.1.1, 9.9.9.9", ["10.0.0.1"], "9.9.9.9"],
  ["two proxies of ours", "9.9.9.9, 10.0.0.2", ["10.0.0.1", "10.0.0.2"], "9.9.9.9"],
])("the address of a client behind %s", (_what, forwarded, ours, expected) => {
  const request = {
    headers: { "x-forwarded-for": forwarded },
    socket: { remoteAddress: "10.0.0.1" },
  };

  expect(clientAddress(request as never, (address) => ours.includes(address))).toBe(expected);
});
