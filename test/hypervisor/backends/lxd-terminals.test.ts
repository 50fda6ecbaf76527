import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { WebSocketServer, type WebSocket } from "ws";
import { openLxd } from "../../../hypervisor/backends/lxd/open.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { at, kindOf } from "./contract/subject.ts";

const WEB = { name: "web", status_code: 103, created_at: "2026-01-01T00:00:00Z" };
const OPERATION = {
  id: "op-1",
  status_code: 103,
  metadata: { fds: { "0": "bytes", control: "sizes" } },
};

test("a terminal whose control socket cannot be opened leaves nothing open", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fettle-lxd-"));
  const sockets = new WebSocketServer({ noServer: true });
  const open = new Set<WebSocket>();
  let opened = 0;
  const server = createServer((request, response) => {
    const metadata = request.method === "POST" ? OPERATION : WEB;
    response.end(JSON.stringify({ type: request.method === "POST" ? "async" : "sync", metadata }));
  });
  server.on("upgrade", (request, socket, head) => {
    if (request.url?.includes("secret=bytes") === true)
      sockets.handleUpgrade(request, socket, head, (each) => {
        opened += 1;
        open.add(each);
        each.once("close", () => open.delete(each));
      });
    else socket.end("HTTP/1.1 404 Not Found\r\n\r\n");
  });
  const path = join(folder, "lxd.socket");
  server.listen(path);
  await once(server, "listening");
  const backend = openLxd({ name: "lxd", address: { socket: path } });
  const request = { ...at("web"), columns: 80, rows: 24, command: ["sh"] };

  try {
    expect(await kindOf(backend.terminals.open(request))).toBe("unavailable");
    await waitUntil("none is open", async () => Promise.resolve(opened === 1 && open.size === 0));
  } finally {
    await backend.close();
    for (const each of open) each.terminate();
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  }
});
