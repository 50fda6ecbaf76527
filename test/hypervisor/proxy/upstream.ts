import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer } from "ws";

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface Upstream {
  readonly url: string;
  readonly seen: Seen[];
  readonly stop: () => void;
}

/** A server that tells what it was asked: `hang` in an address gets no answer, `cut` half of one, `?to=` a redirect. */
export async function startUpstream(): Promise<Upstream> {
  const seen: Seen[] = [];
  const sockets = new WebSocketServer({ noServer: true });
  const upstream = createServer((request, response) => {
    let body = "";
    request.on("data", (piece: Buffer) => (body += piece.toString("utf8")));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      seen.push({ method, url, headers, body });
      if (url.includes("/hang")) return;
      if (url.includes("/cut")) {
        response.writeHead(200, { "content-length": "100" }).write("half of it");
        setTimeout(() => response.destroy(), 50);
        return;
      }
      const to = new URL(url, "http://x").searchParams.get("to");
      if (to !== null) response.setHeader("location", to).statusCode = 302;
      response.setHeader("set-cookie", "grafana_session=1").setHeader("x-of", "upstream");
      response.setHeader("connection", "x-hop").setHeader("x-hop", "1");
      response.end("it is me");
    });
  });
  upstream.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const { method = "", url = "", headers } = request;
    seen.push({ method, url, headers, body: "" });
    sockets.handleUpgrade(request, socket, head, (open) => {
      open.on("message", (data: Buffer) => {
        open.send(`echo ${data.toString("utf8")}`);
      });
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
    seen,
    stop: () => {
      upstream.closeAllConnections();
      upstream.close();
    },
  };
}
