import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../fakes/fettle.ts";
import { givenHypervisor, STATIC_TOKEN, type Hypervisor } from "./given.ts";

/** Another address of this machine than the honest sender's. */
const ATTACKER = "127.0.0.9";
/** What the service lets one address hold. */
const HELD_MAX = 256;
const SOCKETS = 600;
/** They begin a head, a body, a WebSocket's head, or say nothing. */
const BEGINNINGS = [
  "POST /auth/token HTTP/1.1\r\nHost: x\r\nX-Slow: ",
  `POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${STATIC_TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`,
  "GET /ws/terminal/web HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Slow: ",
  "",
];

let api: Hypervisor;
let sockets: Socket[] = [];
beforeAll(async () => {
  api = await givenHypervisor();
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
});
afterAll(async () => api.stop());

async function attack(count: number): Promise<void> {
  const { port } = new URL(api.url);
  const settled: Promise<unknown>[] = [];
  for (let at = 0; at < count; at += 1) {
    const socket = connect({ port: Number(port), host: "127.0.0.1", localAddress: ATTACKER });
    socket.on("error", () => undefined).resume(); // else it would not see that it was hung up on
    settled.push(new Promise((resolve) => socket.once("connect", resolve).once("close", resolve)));
    socket.write(BEGINNINGS[at % BEGINNINGS.length] ?? "");
    sockets.push(socket);
  }
  await Promise.all(settled);
}
const open = () => sockets.filter(({ destroyed }) => !destroyed).length;

test("slow connections of one address are held to its share, and keep nobody else out", async () => {
  const attacking = attack(SOCKETS);
  const during = [await api.send("/auth/me"), await api.send("/ready", { as: "" })];
  await attacking;
  await waitUntil("those that are too many to be hung up on", async () => open() <= HELD_MAX);
  const after = [await api.send("/auth/me"), await api.send("/health", { as: "" })];

  expect([...during, ...after].map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  const metrics = await (await fetch(`${api.url}/metrics`)).text();
  const refused = /^arm_hypervisor_connections_refused_total{[^}]*} (\d+)$/m.exec(metrics)?.[1];
  expect(Number(refused)).toBeGreaterThanOrEqual(SOCKETS - HELD_MAX);
});

test("whoever is slow is hung up on in the end, however they began", async () => {
  await attack(BEGINNINGS.length * 4);
  const answers: string[] = [];
  for (const socket of sockets) socket.on("data", (data: Buffer) => answers.push(data.toString()));

  await waitUntil("all of them to be hung up on", async () => open() === 0);

  expect(answers.filter((answer) => /^HTTP\/1\.1 (101|2\d\d) /.test(answer))).toEqual([]);
});
