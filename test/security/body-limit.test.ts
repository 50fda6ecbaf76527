import { writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { sender } from "../fakes/sender.ts";
import {
  frameOf,
  givenProcesses,
  memoryOf,
  PROCESS_TOKEN,
  type GivenProcesses,
} from "../runbooks/given-processes.ts";

const MEBIBYTE = 1024 * 1024;
/** Between two megabytes: time for the answer to come, where the head is enough for it. */
const PACE_MS = 2_000;
/** Where it takes 16 of them. */
const FAST_PACE_MS = 20;
/** 16 MiB are held at most, and given back at once. Whoever reads all that comes is at 100 to 200. */
const RISE_MAX_MEBIBYTES = 32;
/** What the process does once for itself in that moment (33 MiB were seen) is in one of three, not in the middle one. */
const TIMES = 3;
const CHUNK = Buffer.alloc(MEBIBYTE, "x");

let world: GivenProcesses;

beforeAll(async () => {
  world = await givenProcesses();
  // What the program needs anyway, once it has worked, is not the body's.
  const warm = sender(4);
  const url = `${world.services[0].url}/alertmanager`;
  for (let round = 0; round < 5; round += 1)
    await warm.json(url, frameOf(`warm-${round}`, 2_000), PROCESS_TOKEN);
  warm.close();
});
afterAll(async () => world.stop());

interface Refusal {
  readonly status: number;
  /** Bytes that the server let us send. */
  readonly sent: number;
}

/** Sends a head, and then megabytes for as long as the server takes them, until it answers or hangs up. */
async function push(
  headers: readonly string[],
  frame: (chunk: Buffer) => Buffer,
  { most = 200, paceMs = PACE_MS } = {},
): Promise<Refusal> {
  const { hostname, port } = new URL(world.services[0].url);
  const socket = connect(Number(port), hostname);
  const head = ["POST /alertmanager HTTP/1.1", "Host: x", `Authorization: Bearer ${PROCESS_TOKEN}`];
  socket.write(`${[...head, ...headers].join("\r\n")}\r\n\r\n`);
  let answer = "";
  let sent = 0;
  socket.on("data", (data) => (answer += data.toString()));
  socket.on("error", () => undefined); // it hung up on us, which is what we want
  const answered = () => answer !== "" || socket.destroyed || !socket.writable;
  while (!answered() && sent < most) {
    await write(socket, frame(CHUNK));
    sent += 1;
    for (let waited = 0; waited < paceMs && !answered(); waited += 10)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }
  for (let wait = 0; wait < 100 && answer === ""; wait += 1)
    await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]), sent: sent * MEBIBYTE };
}

async function write(socket: Socket, data: Buffer): Promise<void> {
  await new Promise<void>((resolve) => {
    socket.write(data, () => {
      resolve();
    });
  });
}

const chunked = (chunk: Buffer) =>
  Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")]);

async function bomb(): Promise<Refusal> {
  const packed = gzipSync(Buffer.alloc(100 * MEBIBYTE));
  const headers = ["Content-Encoding: gzip", `Content-Length: ${packed.length}`];
  const { status } = await push(headers, () => packed, { most: 1 });
  return { status, sent: packed.length };
}

/** The kernel begins to watch the peak anew. */
async function memoryRise(work: () => Promise<void>): Promise<number> {
  const [service] = world.services;
  await writeFile(`/proc/${service.pid}/clear_refs`, "5");
  const before = await memoryOf(service);
  await work();
  return (await memoryOf(service)).peak - before.now;
}

test.each<[string, number, () => Promise<Refusal>]>([
  ["said to be 50 MB", 4, async () => push(["Content-Length: 52428800"], (chunk) => chunk)],
  [
    "said to be a terabyte",
    4,
    async () => push(["Content-Length: 1000000000000"], (chunk) => chunk),
  ],
  [
    "in chunks without end",
    40,
    async () => push(["Transfer-Encoding: chunked"], chunked, { paceMs: FAST_PACE_MS }),
  ],
  ["that is a gzip bomb of 1 to 1,000", 1, bomb],
])("a body %s is answered 413, and takes no memory", async (_name, mebibytes, send) => {
  const rises: number[] = [];
  for (let time = 0; time < TIMES; time += 1) {
    let refusal: Refusal | undefined;
    const rise = await memoryRise(async () => {
      refusal = await send();
      for (let tries = 0; refusal.status === 503 && tries < 10; tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 1_000)); // a busy machine: repeated as senders do
        refusal = await send();
      }
    });
    rises.push(rise);
    expect(refusal?.status).toBe(413);
    expect(refusal?.sent).toBeLessThanOrEqual(mebibytes * MEBIBYTE);
  }

  expect(rises.sort((a, b) => a - b)[1]).toBeLessThanOrEqual(RISE_MAX_MEBIBYTES);
  expect((await fetch(`${world.services[0].url}/health`)).status).toBe(200);
});
