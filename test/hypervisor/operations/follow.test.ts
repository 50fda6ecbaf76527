import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "@jest/globals";
import { WebSocket } from "ws";
import { NOBODY } from "../../../hypervisor/frame/guard.ts";
import { createFollow } from "../../../hypervisor/operations/follow.ts";
import { silentLog } from "../../../lib/log.ts";

test("whoever would not be let in any more is cut off, at the latest with the next ping", async () => {
  let still = true;
  let looks = 0;
  const follow = createFollow({
    // An operation of which nothing new is told.
    database: { query: async () => Promise.resolve({ rows: [], rowCount: 0 }) },
    clock: {
      now: () => new Date(),
      sleep: async () => {
        looks += 1;
        await new Promise((resolve) => setTimeout(resolve, 2));
      },
    },
    log: silentLog,
    stillIn: async () => Promise.resolve(still),
  });
  const server = createServer();
  server.on("upgrade", (request, socket, head) => {
    follow.open({ request, socket, head }, { id: "op_1", after: 0, principal: NOBODY });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const closed = once(socket, "close") as Promise<[number, Buffer]>;
  await once(socket, "ping");
  expect(socket.readyState).toBe(WebSocket.OPEN);

  still = false;
  const at = looks;
  const [code, reason] = await closed;
  expect([code, reason.toString()]).toEqual([4401, "signed out"]);
  expect(looks - at).toBeLessThan(120); // of half a second each: 60 s
  await follow.stop();
  server.close();
});
