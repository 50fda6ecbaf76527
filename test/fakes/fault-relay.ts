import { once } from "node:events";
import {
  createServer,
  request as send,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { slowness, type StoreFault } from "./s3.ts";

export interface FaultRelay {
  readonly host: string;
  readonly port: number;
  readonly setFault: (fault: StoreFault) => void;
  readonly stop: () => Promise<void>;
}

/** Hands requests on to a real server of Azure's protocol, as the fault leaves them. */
export async function startFaultRelay(upstream: {
  readonly host: string;
  readonly port: number;
}): Promise<FaultRelay> {
  let fault: StoreFault = { kind: "none" };
  const relay = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(request);
    await slowness(fault, body);
    if (fault.kind === "status") {
      const { status, code } = fault;
      response.writeHead(status, { "content-type": "application/xml", "x-ms-error-code": code });
      response.end(request.method === "HEAD" ? undefined : `<Error><Code>${code}</Code></Error>`);
      return;
    }
    if (fault.kind === "corrupt" && request.method === "PUT" && body.length > 0)
      body.writeUInt8((body[0] ?? 0) ^ 1, 0);
    const { method, url, headers } = request;
    const onward = send({ ...upstream, method, path: url, headers });
    onward.end(body);
    const [answer] = (await once(onward, "response")) as [IncomingMessage];
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  };
  const server = createServer((request, response) => {
    relay(request, response).catch(() => request.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    setFault: (next) => {
      fault = next;
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
