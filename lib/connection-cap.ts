import type { Server } from "node:http";

export interface ConnectionCap {
  /** Connections that one address may hold at once. */
  readonly max: number;
  /** Whose connections are those of many: a proxy's. This machine's own are never counted. */
  readonly exempt: (address: string) => boolean;
  /** Told of each connection that was hung up on. */
  readonly refused?: (address: string) => void;
}

/** Hangs up on who holds too many connections already, so that nobody can take all that the server has. */
export function capConnections(server: Server, { max, exempt, refused }: ConnectionCap): void {
  const held = new Map<string, number>();
  server.on("connection", (socket) => {
    const { remoteAddress: address } = socket;
    if (address === undefined || isOwn(address) || exempt(address)) return;
    const count = (held.get(address) ?? 0) + 1;
    if (count > max) {
      socket.destroy();
      refused?.(address);
      return;
    }
    held.set(address, count);
    socket.once("close", () => {
      const left = (held.get(address) ?? 1) - 1;
      if (left === 0) held.delete(address);
      else held.set(address, left);
    });
  });
}

/** A socket for both families tells IPv4 addresses in the form of IPv6. */
function isOwn(address: string): boolean {
  return address === "127.0.0.1" || address === "::1" || address === "::ffff:127.0.0.1";
}
