import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { WebSocket } from "ws";
import { z } from "zod";
import { createLive } from "../../../hypervisor/live/sockets.ts";
import { createWatch, type Watch } from "../../../hypervisor/live/watch.ts";
import { systemClock } from "../../../lib/clock.ts";
import { correlationId } from "../../../lib/correlation.ts";
import { silentLog } from "../../../lib/log.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { givenFrame, type Frame } from "./given.ts";

let frame: Frame;
let watch: Watch;
/** Correlation ids that handlers have seen after the switch. */
const seen: (string | undefined)[] = [];
beforeAll(async () => {
  const standing = async () => Promise.reject(new Error("nobody asks in here"));
  watch = createWatch({ standing, clock: systemClock, log: silentLog });
  const live = createLive({ watch, clock: systemClock });
  frame = await givenFrame({
    people: { ana: { role: "Admin", permissions: ["*"] } },
    add: (router) => {
      const params = z.strictObject({ how: z.string() });
      const about = { path: "/ws/:how", permission: "logs:read", summary: "x", params } as const;
      router.webSocket(about, async (call, upgrade) => {
        const socket = await live.accept(call, upgrade, { permission: "logs:read" });
        await socket.send("hello");
        seen.push(correlationId());
        if (call.params.how === "thrown") throw new Error("the engine room is on fire");
        socket.close(1000, "that is all");
      });
    },
  });
});
afterAll(async () => {
  await watch.stop();
  await frame.stop();
});

function dial(how: string): WebSocket {
  const headers = { authorization: "Bearer ana", "x-correlation-id": `from-${how}` };
  return new WebSocket(`${frame.url.replace("http", "ws")}/ws/${how}`, { headers });
}

test("the answer that switches protocols has the id by which its log lines and rows are found", async () => {
  const socket = dial("well");
  const [answer] = (await once(socket, "upgrade")) as [IncomingMessage];
  await once(socket, "close");

  expect(answer.headers["x-correlation-id"]).toBe("from-well");
  expect(seen).toContain("from-well");
});

test("a handler that fails after the switch ends the WebSocket as one, and the fault is logged", async () => {
  const socket = dial("thrown");
  const messages: string[] = [];
  socket.on("message", (data) => messages.push((data as Buffer).toString()));
  const failed = new Promise((resolve) => socket.once("error", resolve));
  const closed = once(socket, "close") as Promise<[number, Buffer]>;

  const [code, reason] = await Promise.race([closed, failed.then(() => [0, Buffer.from("error")])]);

  expect([code, String(reason)]).toEqual([1011, "internal error"]);
  expect(messages).toEqual(["hello"]);
  expect(frame.log.text()).toContain("error WebSocket failed route=/ws/:how");
});

test("also on a connection that has answered before", async () => {
  const { hostname, port } = new URL(frame.url);
  const socket = connect(Number(port), hostname);
  let text = "";
  socket.on("data", (data) => (text += data.toString("latin1")));
  socket.write("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitUntil("the first answer", async () => text.includes("ready"));
  socket.write(
    "GET /ws/well HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  );
  await once(socket, "close");

  // Nothing was switched yet: the refusal is one of HTTP.
  expect(text).toMatch(/HTTP\/1\.1 401 [^]*application\/problem\+json/);
});
