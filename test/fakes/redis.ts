import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

/** What a broken Redis says to every command but those of the connection itself. */
type Mode = { readonly error: string } | { readonly delayMs: number } | { readonly cut: true };

export interface FakeRedis {
  readonly url: string;
  setMode: (mode: Mode) => void;
  readonly stop: () => Promise<void>;
}

/** Commands with which a client opens a connection; a real server that loads its data answers most of them as well. */
const GREETINGS = new Map([
  ["HELLO", "-ERR unknown command\r\n"],
  ["CLIENT", "+OK\r\n"],
  ["SELECT", "+OK\r\n"],
  ["QUIT", "+OK\r\n"],
  ["INFO", "$9\r\nloading:0\r\n"],
]);

/** Speaks the protocol of Redis, for errors that a real one cannot be brought to. */
export async function startFakeRedis(): Promise<FakeRedis> {
  let mode: Mode = { error: "ERR not scripted" };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    let buffered = "";
    socket.on("data", (data) => {
      buffered += data.toString("latin1");
      for (let next = readCommand(buffered); next !== undefined; next = readCommand(buffered)) {
        buffered = next.rest;
        reply(socket, next.name, mode);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `redis://127.0.0.1:${port}`,
    setMode: (next) => {
      mode = next;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function reply(socket: Socket, name: string, mode: Mode): void {
  const greeting = GREETINGS.get(name);
  if (greeting !== undefined) socket.write(greeting);
  else if ("error" in mode) socket.write(`-${mode.error}\r\n`);
  else if ("cut" in mode) socket.destroy();
  else
    setTimeout(() => {
      if (!socket.destroyed) socket.write("*2\r\n:0\r\n:0\r\n");
    }, mode.delayMs).unref();
}

/** The first whole command: an array of bulk strings. */
function readCommand(text: string): { readonly name: string; readonly rest: string } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  let at = head[0].length;
  let name = "";
  for (let index = 0; index < Number(head[1]); index += 1) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 32));
    if (size === null) return undefined;
    const start = at + size[0].length;
    const end = start + Number(size[1]);
    if (text.length < end + 2) return undefined;
    if (index === 0) name = text.slice(start, end).toUpperCase();
    at = end + 2;
  }
  return { name, rest: text.slice(at) };
}
