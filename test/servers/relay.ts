import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { placeServer, programPath } from "./unprivileged.ts";

/** Runs in the server's network: a unix socket, which every process on the machine can reach, in front of its port. */
const INSIDE = `
const { connect, createServer } = require("node:net");
const [path, port] = process.argv.slice(1);
createServer((socket) => {
  const server = connect(Number(port), "127.0.0.1");
  socket.on("error", () => server.destroy());
  server.on("error", () => socket.destroy());
  socket.pipe(server).pipe(socket);
}).listen(path, () => console.log("ready"));
`;

export interface Relay {
  readonly stop: () => Promise<void>;
}

/** Makes a port of a server in a network of its own reachable as the same port of our 127.0.0.1. @param pid of a process in that network */
export async function relayTo(pid: number, port: number): Promise<Relay> {
  const { folder } = await placeServer("relay");
  const path = join(folder, "socket");
  const inside = spawn(
    programPath("NSENTER"),
    [`--net=/proc/${pid}/ns/net`, process.execPath, "-e", INSIDE, path, String(port)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await once(inside.stdout, "data");
  const outside = createServer((socket) => {
    const server = connect(path);
    socket.on("error", () => server.destroy());
    server.on("error", () => socket.destroy());
    socket.pipe(server).pipe(socket);
  });
  outside.listen(port, "127.0.0.1");
  await once(outside, "listening");
  return {
    stop: async () => {
      outside.close();
      inside.kill("SIGKILL");
      await once(inside, "exit");
    },
  };
}
