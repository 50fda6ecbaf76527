import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { capConnections } from "../../lib/connection-cap.ts";
import { connectionCap } from "../../runbooks/connection-cap.ts";
import { trustedProxies } from "../../runbooks/trusted-proxies.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { recordingLog, type RecordingLog } from "../fakes/recording-log.ts";

const MAX = 3;
/** Addresses of this machine that are not its usual one. */
const SENDER = "127.0.0.2";
const OTHER = "127.0.0.3";
const PROXY = "127.0.0.9";

let server: Server;
let log: RecordingLog;
let refused: number;
let nowMs: number;
let sockets: Socket[];

beforeEach(async () => {
  log = recordingLog();
  refused = 0;
  nowMs = 0;
  sockets = [];
  server = createServer((_request, response) => response.end("ok"));
  capConnections(
    server,
    connectionCap({
      proxies: trustedProxies([`${PROXY}/32`]),
      metrics: { connectionRefused: () => (refused += 1) },
      log,
      max: MAX,
      elapsedMs: () => nowMs,
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

/** Connects, asks, and says whether it is answered. */
async function asks(localAddress: string): Promise<boolean> {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  sockets.push(socket);
  socket.on("error", () => undefined); // hung up on
  socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const answered = once(socket, "data").then(() => true);
  const closed = once(socket, "close").then(() => false);
  return Promise.race([answered, closed]);
}

async function holds(address: string, count: number): Promise<readonly boolean[]> {
  return Promise.all(Array.from({ length: count }, async () => asks(address)));
}

test("an address that holds too many connections gets no more, and the others get theirs", async () => {
  expect(await holds(SENDER, MAX)).toEqual([true, true, true]);

  expect(await asks(SENDER)).toBe(false);
  expect(refused).toBe(1);
  expect(await asks(OTHER)).toBe(true);
});

test("who lets one go may have another", async () => {
  await holds(SENDER, MAX);
  sockets[0]?.destroy();

  await waitUntil("room again", async () => asks(SENDER));
  expect(await asks(SENDER)).toBe(false);
});

test("this machine and trusted proxies may hold any number", async () => {
  expect(await holds("127.0.0.1", MAX * 3)).not.toContain(false);
  expect(await holds(PROXY, MAX * 3)).not.toContain(false);
  expect(refused).toBe(0);
});

test("every refusal is counted, and the log hears of them once a minute", async () => {
  const warned = () => log.text().match(/too many connections.*$/gm);
  await holds(SENDER, MAX);

  await asks(SENDER);
  await asks(SENDER);
  expect(refused).toBe(2);
  expect(warned()).toHaveLength(1);
  nowMs = 60_000;
  await asks(SENDER);

  expect(refused).toBe(3);
  const line = "too many connections: more of them are refused address=127.0.0.2 max=3";
  expect(warned()).toEqual([`${line} refused=1`, `${line} refused=2`]);
});
