import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { fakeClock } from "./clock.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

let echo: Server;
let proxy: TcpProxy;
beforeEach(async () => {
  echo = createServer((socket) => {
    socket.on("error", () => undefined); // the proxy resets it on purpose
    socket.pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(echo, "listening");
  proxy = await startTcpProxy({ host: "127.0.0.1", port: (echo.address() as AddressInfo).port });
});
afterEach(async () => {
  await proxy.stop();
  echo.close();
});

async function open(): Promise<Socket> {
  const socket = connect({ port: proxy.port, host: "127.0.0.1" });
  await once(socket, "connect");
  return socket;
}

/** What came back until the connection ended or `waitMs` passed, and how it ended. */
async function exchange(socket: Socket, sent: string, waitMs = 2_000): Promise<string> {
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString();
    if (received.length >= sent.length) socket.end();
  });
  const how = new Promise<string>((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => {
      resolve(`${received} then ${error.code ?? "?"}`);
    });
    socket.on("close", () => {
      resolve(received);
    });
    setTimeout(() => {
      resolve(`${received} then silence`);
      socket.destroy();
    }, waitMs).unref();
  });
  socket.write(sent);
  return how;
}

test("the proxy passes bytes on, and after a refusal listens on the same port again", async () => {
  expect(await exchange(await open(), "hello")).toBe("hello");

  await proxy.setMode({ kind: "refuse" });
  await expect(open()).rejects.toThrow("ECONNREFUSED");
  await proxy.setMode({ kind: "pass" });

  expect(await exchange(await open(), "again")).toBe("again");
});

test("a blackhole keeps an open connection and lets nothing through", async () => {
  const socket = await open();

  await proxy.setMode({ kind: "blackhole" });

  expect(await exchange(socket, "hello", 100)).toBe(" then silence");
});

test("a reset hits open connections and new ones", async () => {
  const socket = await open();
  const first = exchange(socket, "");

  await proxy.setMode({ kind: "reset" });

  expect(await first).toBe(" then ECONNRESET");
  const second = connect({ port: proxy.port, host: "127.0.0.1" });
  expect(await exchange(second, "hello")).toContain("then E");
});

test("a delay holds both directions back, a cut lets exactly its bytes through", async () => {
  await proxy.setMode({ kind: "delay", milliseconds: 50 });
  const start = performance.now();
  expect(await exchange(await open(), "hello")).toBe("hello");
  expect(performance.now() - start).toBeGreaterThanOrEqual(98); // timers may fire a millisecond early

  await proxy.setMode({ kind: "cutAfter", bytes: 3 });
  expect(await exchange(await open(), "hello")).toBe("hel then ECONNRESET");
});

test("the clock ends due sleeps in their order, also those that begin meanwhile", async () => {
  const clock = fakeClock("2026-01-01T00:00:00Z");
  const woken: string[] = [];
  const nap = async (name: string, milliseconds: number, times: number) => {
    for (let count = 0; count < times; count += 1) {
      await clock.sleep(milliseconds);
      woken.push(`${name} ${clock.now().toISOString().slice(17, 23)}`);
    }
  };
  void nap("slow", 2_500, 1);
  void nap("quick", 1_000, 5);

  await clock.advance(3_000);

  expect(woken).toEqual(["quick 01.000", "quick 02.000", "slow 02.500", "quick 03.000"]);
  expect(clock.sleepers).toBe(1);
  expect(clock.now()).toEqual(new Date("2026-01-01T00:00:03Z"));
});

test("an aborted sleep ends at once and without an error", async () => {
  const clock = fakeClock("2026-01-01T00:00:00Z");
  const abort = new AbortController();
  const sleep = clock.sleep(1_000, abort.signal);

  abort.abort();

  await expect(sleep).resolves.toBeUndefined();
  await expect(clock.sleep(1_000, abort.signal)).resolves.toBeUndefined();
  expect(clock.sleepers).toBe(0);
});
