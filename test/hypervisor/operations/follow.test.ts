import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "@jest/globals";
import { WebSocket } from "ws";
import { systemClock } from "../../../lib/clock.ts";
import { NOBODY } from "../../../hypervisor/frame/guard.ts";
import { createFollow } from "../../../hypervisor/operations/follow.ts";
import type { Principal } from "../../../hypervisor/types.ts";
import { silentLog } from "../../../lib/log.ts";

const ANA: Principal = { ...NOBODY, organization: "a", permissions: ["progress:read"] };
const gone = async () => Promise.reject(new Error("the database does not answer"));

test.each<[string, () => Promise<Principal | undefined>, [number, string]]>([
  ["signed out", async () => Promise.resolve(undefined), [4401, "signed out"]],
  [
    "without the permission",
    async () => Promise.resolve({ ...ANA, permissions: [] }),
    [4403, "no longer permitted: progress:read"],
  ],
  [
    "of another organization by now",
    async () => Promise.resolve({ ...ANA, organization: "b" }),
    [4403, "no longer theirs"],
  ],
  ["unknown, as the database is down", gone, [1013, "nobody can tell whether you are signed in"]],
])("who is %s is cut off within a minute", async (_who, later, expected) => {
  let standing = async (): Promise<Principal | undefined> => Promise.resolve(ANA);
  let now = 0;
  const follow = createFollow({
    // An operation of the organization a, of which nothing new is told.
    database: {
      query: async (sql: string, values: readonly unknown[] = []) => {
        const rows = sql.includes("FROM hypervisor_operations") && values[1] === "a" ? [{}] : [];
        return Promise.resolve({ rows: rows as never[], rowCount: rows.length });
      },
    },
    clock: {
      now: () => new Date(now),
      sleep: async (ms) => {
        now += ms;
        await new Promise((resolve) => setTimeout(resolve, 2));
      },
    },
    log: silentLog,
    standing: async () => standing(),
  });
  const server = createServer();
  server.on("upgrade", (request, socket, head) => {
    follow.open(
      { request, socket, head },
      { key: "op_1", after: 0, status: "in_progress", principal: ANA },
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const closed = once(socket, "close") as Promise<[number, Buffer]>;
  let pings = 0;
  socket.on("ping", () => (pings += 1));
  while (pings < 4) await once(socket, "ping"); // longer than an unknown person would be borne
  expect(socket.readyState).toBe(WebSocket.OPEN);

  standing = later;
  const at = now;
  const [code, reason] = await closed;
  expect([code, reason.toString()]).toEqual(expected);
  expect(now - at).toBeLessThan(61_000);
  await follow.stop();
  server.close();
});

test.each([
  ["had its last line before it came", 3, 3, 0],
  ["gets exactly one batch", 200, 0, 200],
  ["gets less than a batch", 3, 1, 2],
])("who follows what has ended and %s is told the end", async (_who, count, after, shown) => {
  const lines = Array.from({ length: count }, (_, at) => ({
    line: at + 1,
    status: at + 1 === count ? "completed" : "in_progress",
  }));
  const follow = createFollow({
    database: {
      query: async (_sql: string, [, from, limit]: readonly unknown[] = []) => {
        const rows = lines.slice(Number(from), Number(from) + Number(limit));
        return Promise.resolve({ rows: rows as never[], rowCount: rows.length });
      },
    },
    clock: systemClock,
    log: silentLog,
    standing: async () => Promise.resolve(ANA),
  });
  const server = createServer();
  server.on("upgrade", (request, socket, head) => {
    const followed = { key: "op_1", after, status: "completed", principal: ANA } as const;
    follow.open({ request, socket, head }, followed);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  let told = 0;
  socket.on("message", () => (told += 1));

  const late = new AbortController();
  const closed = once(socket, "close").then(([code, reason]) => [Number(code), String(reason)]);
  const never = systemClock.sleep(8_000, late.signal).then(() => "still open");
  const end = await Promise.race([closed, never]);
  late.abort();
  await follow.stop();
  server.close();

  expect(end).toEqual([1000, "completed"]);
  expect(told).toBe(shown);
});
