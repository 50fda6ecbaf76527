import { once } from "node:events";
import { createServer, request as send, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A service that somebody depends on, and that can be told to answer with an error. */
export interface Relay {
  readonly url: string;
  /** Every request is answered so, until undefined is said. */
  readonly answer: (status: number | undefined) => void;
  readonly stop: () => Promise<void>;
}

/** @param upstream who answers otherwise; everything is taken with "ok" when it is undefined */
export async function startRelay(upstream?: string): Promise<Relay> {
  let status: number | undefined;
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const { method, url = "/", headers } = request;
      if (status !== undefined) return response.writeHead(status).end();
      if (upstream === undefined) return response.end("ok");
      const onward = send(
        new URL(url, upstream),
        { method, headers },
        (answer: IncomingMessage) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        },
      );
      onward.on("error", () => request.socket.destroy());
      return onward.end(body);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (next) => {
      status = next;
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
