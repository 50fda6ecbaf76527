import type { Duplex } from "node:stream";
import type { WebSocketServer } from "ws";
import { CORRELATION_HEADER, correlationId } from "../../lib/correlation.ts";

/** RFC 6455, 7.4.1: the server met something that it did not expect. */
const INTERNAL_ERROR = 1011;
const REASON = "internal error";

/** For the answer that switches protocols: the id by which the log lines and rows of it are found. */
export function correlationLine(): string {
  return `${CORRELATION_HEADER}: ${correlationId() ?? ""}`;
}

/** Has the server tell it; it answers within the request's own call. */
export function tellCorrelation(server: WebSocketServer): void {
  server.on("headers", (headers) => {
    headers.push(correlationLine());
  });
}

/** Tells later whether something was written since: a connection may have answered other requests before. */
export function watchSwitch(socket: Duplex): () => boolean {
  const written = () => (socket as Duplex & { readonly bytesWritten?: number }).bytesWritten ?? 0;
  const before = written();
  return () => written() > before;
}

/** A close frame (RFC 6455, 5.5.1): after the switch nothing but frames can be said. */
export function closeFrame(): Buffer {
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(REASON)]);
  payload.writeUInt16BE(INTERNAL_ERROR);
  return Buffer.concat([Buffer.from([0x88, payload.length]), payload]);
}
