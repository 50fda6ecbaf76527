import type { IncomingMessage } from "node:http";

/** Whether an address is a proxy of ours, whose word about its client counts. */
export type TrustsProxy = (address: string, hop: number) => boolean;

/** The client's address: the last one in `X-Forwarded-For` that no proxy of ours has written about itself. */
export function clientAddress(request: IncomingMessage, trusts: TrustsProxy): string {
  const forwarded = request.headers["x-forwarded-for"];
  const hops = typeof forwarded === "string" ? forwarded.split(",").reverse() : [];
  let address = request.socket.remoteAddress ?? "unknown";
  for (const [hop, next] of hops.entries()) {
    if (!trusts(address, hop)) break;
    address = next.trim();
  }
  return address;
}
