import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { WebSocket } from "ws";
import type { Terminal } from "../../../hypervisor/backends/types.ts";
import { NOBODY } from "../../../hypervisor/frame/guard.ts";
import type { Upgrade } from "../../../hypervisor/frame/sockets.ts";
import { createLive, type Live } from "../../../hypervisor/live/sockets.ts";
import { holdSession } from "../../../hypervisor/live/terminal.ts";
import { createWatch, type Watch } from "../../../hypervisor/live/watch.ts";
import { systemClock as clock } from "../../../lib/clock.ts";
import { silentLog } from "../../../lib/log.ts";
import { until } from "../backends/contract/subject.ts";

const CALL = { principal: NOBODY };
const WATCHED = { permission: "container:exec" } as const;
const SESSION = { recording: undefined, clock, idleMs: 60_000 };

let server: Server;
let watch: Watch;
let live: Live;
let handle: (upgrade: Upgrade) => Promise<void>;
beforeEach(async () => {
  const standing = async () => Promise.resolve(NOBODY);
  watch = createWatch({ standing, clock, log: silentLog });
  live = createLive({ watch, clock });
  server = createServer();
  server.on("upgrade", (request, socket, head) => void handle({ request, socket, head }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterEach(async () => {
  await watch.stop();
  server.closeAllConnections();
  server.close();
});

const portOf = () => (server.address() as AddressInfo).port;

function openSocket(): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${portOf()}`);
  socket.on("error", () => undefined);
  return socket;
}

function terminalOf(resize: Terminal["resize"] = async () => Promise.resolve()) {
  const stream = new PassThrough(); // shows what is typed
  const exitCode = Promise.resolve(0);
  return { stream, resize, exitCode };
}

test("who resets while they are checked leaves nothing taken", async () => {
  let taken = 0;
  let seen = false;
  handle = async ({ request, socket, head }) => {
    taken += 1;
    seen = true;
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("close", resolve));
    try {
      await live.accept(CALL, { request, socket, head }, WATCHED);
    } catch {
      // as the frame does
    } finally {
      taken -= 1;
    }
  };
  const client = connect(portOf(), "127.0.0.1");
  client.on("error", () => undefined);
  client.write(
    [
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ].join(""),
  );
  await until(async () => Promise.resolve(seen));

  client.resetAndDestroy();

  await until(async () => Promise.resolve(taken === 0));
  expect(watch.size()).toBe(0);
});

test("what is typed before the shell is open reaches it", async () => {
  handle = async (upgrade) => {
    const socket = await live.accept(CALL, upgrade, WATCHED);
    await sleep(100); // the engine opens it
    await holdSession(socket, terminalOf(), SESSION);
  };
  const client = openSocket();
  let shown = "";
  client.on("message", (data: Buffer) => (shown += data.toString("utf8")));
  client.on("open", () => {
    client.send(Buffer.from("first "));
    client.send(Buffer.from("second"));
  });

  await until(async () => Promise.resolve(shown.includes("second")));

  expect(shown).toBe("first second");
  client.terminate();
});

test("of many sizes one is under way, and the newest wins", async () => {
  const sizes: number[] = [];
  const slow = Promise.withResolvers<undefined>();
  const resize: Terminal["resize"] = async ({ columns }) => {
    sizes.push(columns);
    await slow.promise;
  };
  handle = async (upgrade) => {
    const socket = await live.accept(CALL, upgrade, WATCHED);
    await holdSession(socket, terminalOf(resize), SESSION);
  };
  const client = openSocket();
  let shown = "";
  client.on("message", (data: Buffer) => (shown += data.toString("utf8")));
  await once(client, "open");
  for (let columns = 1; columns <= 400; columns += 1)
    client.send(JSON.stringify({ type: "resize", columns, rows: 24 }));
  client.send(Buffer.from("all sent"));
  await until(async () => Promise.resolve(shown === "all sent"));
  expect(sizes).toEqual([1]);

  slow.resolve(undefined);

  await until(async () => Promise.resolve(sizes.length >= 2));
  client.send(Buffer.from("."));
  await until(async () => Promise.resolve(shown === "all sent."));
  expect(sizes).toEqual([1, 400]);
  client.terminate();
});
