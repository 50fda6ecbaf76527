import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { waitUntil } from "../fakes/fettle.ts";
import { sender } from "../fakes/sender.ts";
import {
  frameOf,
  givenProcesses,
  PROCESS_TOKEN,
  type GivenProcesses,
} from "../runbooks/given-processes.ts";

const SOCKETS = 5_000;
const HONEST = 200;
/** The 99th percentile. A busy machine is slow without an attack as well: then five times what it was before holds. */
const HONEST_MAX_MS = 500;
/** Another address of this machine than the honest sender's. */
const ATTACKER = "127.0.0.9";
/** Of those that are too many. */
const HUNG_UP_MS = 5_000;
/** What the service lets one address hold. */
const HELD_MAX = 256;

let world: GivenProcesses;

beforeAll(async () => {
  world = await givenProcesses();
});
afterAll(async () => world.stop());

/** A third begin a head, a third begin a body, a third say nothing. */
const BEGINNINGS = [
  "POST /alertmanager HTTP/1.1\r\nHost: x\r\nX-Slow: ",
  `POST /alertmanager HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${PROCESS_TOKEN}\r\nContent-Length: 1000\r\n\r\n{`,
  "",
];

interface Attack {
  readonly open: () => number;
  readonly stop: () => void;
}

/** Connections that never come to an end; those that are hung up on are not opened again. */
async function attack(connections: number): Promise<Attack> {
  const { port } = new URL(world.services[0].url);
  const sockets: Socket[] = [];
  const settled: Promise<void>[] = [];
  for (let at = 0; at < connections; at += 1) {
    const socket = connect({ port: Number(port), host: "127.0.0.1", localAddress: ATTACKER });
    settled.push(
      new Promise((resolve) => {
        socket.once("connect", resolve).once("close", resolve);
      }),
    );
    socket.on("error", () => undefined).resume(); // else it would not see that it was hung up on
    socket.write(BEGINNINGS[at % BEGINNINGS.length] ?? "");
    sockets.push(socket);
    if (at % 500 === 499) await Promise.all(settled);
  }
  await Promise.all(settled);
  return {
    open: () => sockets.filter(({ destroyed }) => !destroyed).length,
    stop: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** An honest sender with one connection, which repeats what a busy machine refuses. @returns the 99th percentile, in ms */
async function honest(name: string): Promise<number> {
  const one = sender(1);
  const times: number[] = [];
  for (let at = 0; times.length < HONEST; at += 1) {
    const url = `${world.services[0].url}/alertmanager`;
    const { status, ms } = await one.json(url, frameOf(`${name}-${at}`, 1), PROCESS_TOKEN);
    times.push(ms);
    expect([202, 503]).toContain(status);
  }
  one.close();
  times.sort((a, b) => a - b);
  return times[Math.ceil(HONEST * 0.99) - 1] ?? Number.NaN;
}

test("while 5,000 slow connections of another address come, honest senders are answered as ever", async () => {
  const before = await honest("before");
  const attacking = attack(SOCKETS);
  const during = await honest("during");
  const first = await attacking;
  await waitUntil("the others to be hung up on", async () => first.open() <= HELD_MAX, HUNG_UP_MS);
  const again = await attack(HELD_MAX); // of the first it may have hung up on all by now
  try {
    expect(again.open()).toBeGreaterThan(0);
    const after = await honest("after"); // on a connection that was made meanwhile

    expect(Math.max(during, after)).toBeLessThanOrEqual(Math.max(HONEST_MAX_MS, 5 * before));
  } finally {
    first.stop();
    again.stop();
  }
});

test("whoever is slow is hung up on in the end, and may come again", async () => {
  const { port } = new URL(world.services[0].url);
  const socket = connect({ port: Number(port), host: "127.0.0.1", localAddress: ATTACKER });
  socket.on("error", () => undefined);
  socket.write(BEGINNINGS[0] ?? "");
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  await new Promise((resolve) => socket.once("close", resolve));

  expect(answer).toMatch(/^HTTP\/1\.1 503 /); // 408 would be final for Alertmanager
});
