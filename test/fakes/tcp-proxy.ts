import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { ownPort } from "../servers/unprivileged.ts";

/** What the proxy does to connections, those that are open included. */
type ProxyMode =
  | { readonly kind: "pass" }
  /** Nobody listens: ECONNREFUSED; open connections are reset. */
  | { readonly kind: "refuse" }
  /** Connections open and stay, and not a byte moves: a dead network. */
  | { readonly kind: "blackhole" }
  /** Connections are reset at once: ECONNRESET. */
  | { readonly kind: "reset" }
  /** Every chunk is held back this long, in both directions. */
  | { readonly kind: "delay"; readonly milliseconds: number }
  /** A connection is reset once it has carried this many bytes towards the client. */
  | { readonly kind: "cutAfter"; readonly bytes: number };

export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  readonly setMode: (mode: ProxyMode) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Starts a proxy on a free loopback port in front of `upstream`, to be put before Postgres, Redis, Slack or Kubernetes. */
export async function startTcpProxy(upstream: {
  readonly host: string;
  readonly port: number;
}): Promise<TcpProxy> {
  let mode: ProxyMode = { kind: "pass" };
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (mode.kind === "reset") {
      client.resetAndDestroy();
      return;
    }
    join(client, connect({ ...upstream, allowHalfOpen: true }), () => mode, sockets);
  });
  const port = await listen(server, await ownPort()); // not given to another while it refuses
  const close = async () => {
    for (const socket of sockets) socket.resetAndDestroy();
    if (!server.listening) return;
    server.close();
    await once(server, "close");
  };
  return {
    host: "127.0.0.1",
    port,
    setMode: async (next) => {
      mode = next;
      if (next.kind === "refuse") await close();
      else if (!server.listening) await listen(server, port);
      if (next.kind === "reset") for (const socket of sockets) socket.resetAndDestroy();
    },
    stop: close,
  };
}

type CurrentMode = () => ProxyMode;

function join(client: Socket, upstream: Socket, mode: CurrentMode, sockets: Set<Socket>): void {
  for (const [socket, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    sockets.add(socket);
    socket.on("error", () => {
      other.resetAndDestroy();
    });
    socket.on("close", () => {
      sockets.delete(socket);
      other.destroy();
    });
  }
  let budgetSpent = 0;
  forward(client, upstream, mode, () => undefined);
  forward(upstream, client, mode, (bytes) => {
    const current = mode();
    if (current.kind !== "cutAfter") return undefined;
    const left = Math.max(0, current.bytes - budgetSpent);
    budgetSpent += bytes;
    return left;
  });
}

/** `allowance` says how many of the next bytes may still pass before the cut; undefined is all of them. */
function forward(
  from: Socket,
  to: Socket,
  mode: CurrentMode,
  allowance: (bytes: number) => number | undefined,
): void {
  const act = (work: () => void) => {
    const current = mode();
    if (current.kind === "delay") setTimeout(work, current.milliseconds).unref();
    else if (current.kind !== "blackhole") work();
  };
  from.on("data", (chunk) => {
    act(() => {
      const allowed = allowance(chunk.length);
      if (allowed === undefined || allowed >= chunk.length) to.write(chunk);
      // What was allowed must arrive before the reset throws the send buffer away.
      else to.write(chunk.subarray(0, allowed), () => to.resetAndDestroy());
    });
  });
  from.on("end", () => {
    act(() => to.end());
  });
}

async function listen(server: ReturnType<typeof createServer>, port: number): Promise<number> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
