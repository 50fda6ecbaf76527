import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** Takes whatever is posted, except below /refuse. */
export interface OpenReceiver {
  readonly url: string;
  readonly taken: {
    readonly path: string;
    readonly authorization: string | undefined;
    readonly body: unknown;
  }[];
  readonly stop: () => Promise<void>;
}

export async function startReceiver(): Promise<OpenReceiver> {
  const taken: OpenReceiver["taken"] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { url: path = "", headers } = request;
      if (path.startsWith("/refuse")) return response.writeHead(403).end();
      taken.push({ path, authorization: headers.authorization, body: JSON.parse(body) as unknown });
      return response.end("ok");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
