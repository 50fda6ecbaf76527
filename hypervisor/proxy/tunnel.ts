import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Log } from "../../lib/log.ts";
import { HttpProblem } from "../../lib/problem.ts";
import type { SocketCall, Upgrade } from "../frame/sockets.ts";
import { correlationLine } from "../frame/switching.ts";
import type { Watch } from "../live/watch.ts";
import type { Address } from "./address.ts";
import { failureOf, outgoing, send, type Upstream } from "./forward.ts";

const HANDSHAKE_MS_MAX = 10_000;
const SILENCE_MS_MAX = 5 * 60_000;

export interface TunnelDeps {
  readonly watch: Watch;
  readonly log: Log;
}

/** A WebSocket to the server behind: the bytes are passed on unread, until one side or the person's login ends. */
export async function tunnel(
  target: Upstream,
  { call, upgrade, address }: Tunnelled,
  deps: TunnelDeps,
): Promise<void> {
  const { watch, log } = deps;
  const { principal } = call;
  const { request, socket, head } = upgrade;
  watch.admit(principal);
  const out = outgoing(target, call, request, address);
  const protocols = offered(request);
  const headers = {
    ...out.headers,
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-protocol": protocols.length === 0 ? undefined : protocols.join(", "),
  };
  const shown = Object.fromEntries(
    Object.entries(headers).filter(([, value]) => value !== undefined),
  );
  const { answer, peer } = await switched(target, { ...out, headers: shown }, log);
  const end = (): void => {
    socket.destroy();
    peer.destroy();
  };
  const forget = watch.add({ principal, permission: target.permission }, end);
  for (const side of [socket, peer] as (Duplex & {
    setTimeout?: (ms: number, f: () => void) => void;
  })[])
    side.setTimeout?.(SILENCE_MS_MAX, end);
  socket.write(handshake(answer, request, protocols));
  if (head.length > 0) peer.write(head);
  await Promise.allSettled([pipeline(socket, peer), pipeline(peer, socket)]);
  forget();
  end();
}

export interface Tunnelled {
  readonly call: SocketCall;
  readonly upgrade: Upgrade;
  readonly address: Address;
}

interface Switched {
  readonly answer: IncomingMessage;
  readonly peer: Duplex;
}

async function switched(
  target: Upstream,
  out: Parameters<typeof send>[2],
  log: Log,
): Promise<Switched> {
  const sent = send(target, "GET", out);
  sent.setTimeout(HANDSHAKE_MS_MAX, () => sent.destroy(new Error("no answer to the handshake")));
  try {
    return await new Promise<Switched>((resolve, reject) => {
      sent.once("upgrade", (answer, peer, rest) => {
        if (rest.length > 0) peer.unshift(rest);
        sent.setTimeout(0);
        resolve({ answer, peer });
      });
      sent.once("response", (answer) => {
        answer.resume();
        const status = answer.statusCode ?? 0;
        const detail = `${target.name} does not switch protocols: it answered ${status}.`;
        reject(new HttpProblem(502, "Bad gateway", detail));
      });
      sent.once("error", reject);
      sent.end();
    });
  } catch (error) {
    sent.destroy();
    throw failureOf(error, target, log);
  }
}

/** Our token is one of them in browsers, and stays here. */
function offered({ headers }: IncomingMessage): readonly string[] {
  const all = (headers["sec-websocket-protocol"] ?? "").split(",").map((each) => each.trim());
  return all.filter((each) => each !== "" && !each.startsWith("bearer."));
}

/** A browser that offered only our token hangs up when none is chosen. */
function handshake(
  { headers }: IncomingMessage,
  request: IncomingMessage,
  protocols: readonly string[],
): string {
  const own = request.headers["sec-websocket-protocol"]?.split(",")[0]?.trim();
  const chosen = headers["sec-websocket-protocol"] ?? (protocols.length === 0 ? own : undefined);
  const extensions = headers["sec-websocket-extensions"];
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${headers["sec-websocket-accept"] ?? ""}`,
    correlationLine(),
    ...(chosen === undefined ? [] : [`Sec-WebSocket-Protocol: ${chosen}`]),
    ...(extensions === undefined ? [] : [`Sec-WebSocket-Extensions: ${extensions}`]),
    "\r\n",
  ].join("\r\n");
}
