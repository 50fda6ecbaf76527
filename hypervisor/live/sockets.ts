import type { Clock } from "../../lib/clock.ts";
import { WebSocketServer, type RawData, type WebSocket } from "ws";
import type { SocketCall, Upgrade } from "../frame/sockets.ts";
import { tellCorrelation } from "../frame/switching.ts";
import type { Watch, Watched } from "./watch.ts";

const PING_MS = 20_000;
/** Two pings without an answer. */
const SILENT_MS_MAX = 45_000;
const MESSAGE_BYTES_MAX = 64 * 1024;
/** More than this waits in no connection: whoever sends waits instead. */
const WAITING_BYTES_MAX = 64 * 1024;
const SLOW_MS_MAX = 15_000;
const CLOSE_MS_MAX = 3_000;
/** RFC 6455: a reason has at most 123 bytes. */
const REASON_CHARACTERS_MAX = 120;

/** A WebSocket that is open: every way in which it ends aborts `signal`. */
export interface LiveSocket {
  readonly signal: AbortSignal;
  /** Resolves when there is room for more. @throws when it has ended, or the client takes too long (it is cut off then) */
  readonly send: (message: string | Uint8Array) => Promise<void>;
  /** Takes no messages before: what is sent right after the opening waits for the one who listens. */
  readonly onMessage: (listener: (data: Buffer, isText: boolean) => void) => void;
  /** Takes no more messages until resumed. */
  readonly pause: () => void;
  readonly resume: () => void;
  readonly close: (code: number, reason: string) => void;
}

export interface LiveDeps {
  readonly watch: Watch;
  readonly clock: Clock;
  readonly pingMs?: number;
  readonly slowMs?: number;
}

export interface Live {
  /** Switches protocols. @throws HttpProblem when there are too many connections */
  readonly accept: (
    call: Pick<SocketCall, "principal">,
    upgrade: Upgrade,
    watched: Omit<Watched, "principal">,
  ) => Promise<LiveSocket>;
}

/** WebSockets with what each needs: pings, bounded sending, and an end when its owner has signed out. */
export function createLive(deps: LiveDeps): Live {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false, // costs memory per connection
    maxPayload: MESSAGE_BYTES_MAX,
    // The token came as a subprotocol, and one that was offered must be chosen, or browsers hang up.
    handleProtocols: (offered) =>
      [...offered].find((each) => !each.startsWith("bearer.")) ?? first(offered),
  });
  tellCorrelation(server);
  return {
    accept: async ({ principal }, { request, socket, head }, watched) => {
      deps.watch.admit(principal);
      const accepted = await new Promise<WebSocket>((resolve, reject) => {
        const gone = (): void => {
          reject(new Error("the client has gone"));
        };
        socket.once("close", gone);
        if (socket.destroyed) {
          gone(); // during the checks: no event tells of it any more, and `ws` calls nobody back
          return;
        }
        server.handleUpgrade(request, socket, head, (open) => {
          open.pause();
          resolve(open);
        });
      });
      return openSocket(accepted, { principal, ...watched }, deps);
    },
  };
}

function first(offered: ReadonlySet<string>): string | false {
  return [...offered][0] ?? false;
}

function openSocket(socket: WebSocket, watched: Watched, deps: LiveDeps): LiveSocket {
  const { watch, clock, slowMs = SLOW_MS_MAX } = deps;
  const ended = new AbortController();
  const gone = new AbortController();
  const close = (code: number, reason: string): void => {
    if (ended.signal.aborted) return;
    ended.abort();
    socket.close(code, reason.slice(0, REASON_CHARACTERS_MAX));
    socket.resume(); // or the client's own closing is not read
    void clock.sleep(CLOSE_MS_MAX, gone.signal).then(() => {
      socket.terminate();
    });
  };
  const forget = watch.add(watched, close);
  socket.on("error", () => {
    socket.terminate(); // a frame that is none, or a client that is gone
  });
  socket.once("close", () => {
    forget();
    ended.abort();
    gone.abort();
  });
  void keepAlive(socket, ended.signal, deps);
  return {
    signal: ended.signal,
    close,
    pause: () => {
      socket.pause();
    },
    resume: () => {
      socket.resume();
    },
    onMessage: (listener) => {
      socket.on("message", (data: RawData, isBinary: boolean) => {
        listener(bufferOf(data), !isBinary);
      });
      socket.resume();
    },
    send: async (message) => {
      if (ended.signal.aborted) throw new Error("the connection has ended");
      const sent = sendOne(socket, message);
      if (socket.bufferedAmount <= WAITING_BYTES_MAX) return;
      if (await inTime(sent, slowMs, clock)) return;
      close(1013, "too slow: come back with the last cursor");
      throw new Error("the client is too slow");
    },
  };
}

/** Pings, and hangs up on who answers none: also what stands between drops silent connections. */
async function keepAlive(
  socket: WebSocket,
  signal: AbortSignal,
  { clock, pingMs = PING_MS }: LiveDeps,
): Promise<void> {
  let heard = clock.now().getTime();
  socket.on("pong", () => {
    heard = clock.now().getTime();
  });
  for (;;) {
    await clock.sleep(pingMs, signal);
    if (signal.aborted) return;
    if (clock.now().getTime() - heard > SILENT_MS_MAX) socket.terminate();
    else socket.ping();
  }
}

/** @returns false when it took longer */
async function inTime(sent: Promise<void>, ms: number, clock: Clock): Promise<boolean> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).then(() => false);
  try {
    return await Promise.race([sent.then(() => true), late]);
  } finally {
    done.abort();
  }
}

/** Resolves when the system has taken it. */
function sendOne(socket: WebSocket, message: string | Uint8Array): Promise<void> {
  const sent = new Promise<void>((resolve, reject) => {
    socket.send(message, (error) => {
      if (error instanceof Error) reject(error);
      else resolve();
    });
  });
  sent.catch(() => undefined); // nobody waits while there is room
  return sent;
}

function bufferOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
