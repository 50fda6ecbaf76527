import { WebSocket } from "ws";
import { createLive } from "../../../hypervisor/live/sockets.ts";
import { createWatch, type Watch } from "../../../hypervisor/live/watch.ts";
import type { Standing } from "../../../hypervisor/live/standing.ts";
import { createFeeds } from "../../../hypervisor/logs/feeds.ts";
import { addLogRoutes } from "../../../hypervisor/routes/logs.ts";
import { lokiLogs } from "../../../hypervisor/adapters/loki.ts";
import { createUpstreamMetrics, openUpstream } from "../../../hypervisor/adapters/upstream.ts";
import type { Principal } from "../../../hypervisor/types.ts";
import { systemClock } from "../../../lib/clock.ts";
import { silentLog } from "../../../lib/log.ts";
import { createRegistry } from "../../../lib/metrics.ts";
import { startLoki, type Loki } from "../../fakes/loki.ts";
import { givenFrame, type Frame } from "../frame/given.ts";

export interface GivenLogs {
  readonly loki: Loki;
  readonly frame: Frame;
  readonly watch: Watch;
  readonly stop: () => Promise<void>;
}

export interface LogsOptions {
  readonly people?: Readonly<Record<string, Partial<Principal>>>;
  readonly standing?: Standing;
  readonly lookMs?: number;
  readonly pingMs?: number;
  readonly slowMs?: number;
  readonly pollMs?: number;
  /** Another replica on the same Loki. */
  readonly loki?: Loki;
  readonly openMs?: number;
}

/** The log routes over a stand-in for Loki; `ana` may read logs, `eve` may not. */
export async function givenLogs(options: LogsOptions = {}): Promise<GivenLogs> {
  const loki = options.loki ?? (await startLoki());
  const ask = openUpstream(
    { url: loki.url },
    {
      name: "Loki",
      log: silentLog,
      metrics: createUpstreamMetrics(createRegistry("hypervisor")),
      bytesMax: 32 * 1024 * 1024,
      openMs: options.openMs ?? 200,
    },
  );
  const logStore = lokiLogs(ask, "service_name");
  const clock = systemClock;
  const feeds = createFeeds({ store: logStore, clock, pollMs: options.pollMs ?? 30 });
  const standing = options.standing ?? (async (principal) => Promise.resolve(principal));
  const watch = createWatch({ standing, clock, log: silentLog, lookMs: options.lookMs ?? 60_000 });
  const live = createLive({ watch, clock, ...options });
  const people = { ana: { permissions: ["logs:read"] }, eve: {}, ...options.people };
  const frame = await givenFrame({
    people,
    origins: ["https://console.example.com"],
    add: (router) => {
      addLogRoutes(router, { logStore, feeds, live, clock, log: silentLog });
    },
  });
  return {
    loki,
    frame,
    watch,
    stop: async () => {
      await watch.stop();
      await feeds.stop();
      await frame.stop();
      if (options.loki === undefined) await loki.stop();
    },
  };
}

interface Message {
  readonly type: "lines" | "ready";
  readonly lines?: readonly { readonly message: string; readonly timestamp: string }[];
  readonly cursor: string;
}

export interface Watching {
  readonly socket: WebSocket;
  readonly messages: Message[];
  readonly lines: () => readonly string[];
  readonly cursor: () => string | undefined;
  /** Hangs up, and takes nothing more: `ws` still hands out what had come before. */
  readonly cut: () => void;
  /** Code and reason of the end. */
  readonly closed: Promise<readonly [number, string]>;
}

/** Opens `WS /ws/logs/…`. */
export function watchLog(url: string, path: string, as = "ana", options = {}): Watching {
  const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, {
    headers: { authorization: `Bearer ${as}` },
    perMessageDeflate: false,
    ...options,
  });
  const messages: Message[] = [];
  let isCut = false;
  socket.on("message", (data: Buffer) => {
    if (isCut) return;
    messages.push(JSON.parse(data.toString("utf8")) as Message);
  });
  socket.on("error", () => undefined);
  return {
    socket,
    messages,
    lines: () => messages.flatMap(({ lines = [] }) => lines.map(({ message }) => message)),
    cursor: () => messages.at(-1)?.cursor,
    cut: () => {
      isCut = true;
      socket.terminate();
    },
    closed: new Promise((resolve) => {
      socket.once("close", (code, reason) => {
        resolve([code, reason.toString("utf8")]);
      });
    }),
  };
}

let last = 0n;

/** Now, and never the same twice. */
export function now(): bigint {
  const ns = BigInt(Date.now()) * 1_000_000n;
  last = ns > last ? ns : last + 1n;
  return last;
}
