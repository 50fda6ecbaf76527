import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { countOf } from "../frame/query.ts";
import type { Router } from "../frame/router.ts";
import type { Live, LiveSocket } from "../live/sockets.ts";
import { cursorSchema } from "../logs/cursor.ts";
import { nowNs } from "../logs/feed.ts";
import type { Feeds } from "../logs/feeds.ts";
import { FellBehind, follow, type FollowRequest, type LogMessage } from "../logs/follow.ts";
import { momentSchema, shownMoment } from "../logs/times.ts";
import type { LogLine, LogStore } from "../logs/types.ts";

export interface LogDeps {
  readonly logStore: LogStore;
  readonly feeds: Feeds;
  readonly live: Live;
  readonly clock: Clock;
  readonly log: Log;
}

const LIMIT_MAX = 10_000;
const LIMIT_DEFAULT = 1_000;
const TAIL_MAX = 1_000;
const TAIL_DEFAULT = 100;
const TEXT_MAX = 1_000;
const HOUR_NS = 3_600_000_000_000n;

const params = z.strictObject({
  service_id: z.string().min(1).max(200),
});
const filters = {
  level: z
    .string()
    .transform((text) => text.toUpperCase())
    .pipe(z.enum(["DEBUG", "INFO", "WARN", "ERROR"]))
    .optional(),
  search: z.string().min(1).max(TEXT_MAX).optional(),
};

const lineSchema = z
  .object({
    timestamp: z.string(),
    message: z.string(),
    service: z.string(),
    metadata: z.record(z.string(), z.string()),
  })
  .meta({ id: "LogLine" });

/** `/api/v1/logs`: what services have said, and `WS /ws/logs/{service_id}`: what they say now. */
export function addLogRoutes(router: Router, deps: LogDeps): void {
  const { logStore } = deps;
  router.route(
    {
      method: "get",
      path: "/api/v1/logs/services",
      permission: "logs:read",
      summary: "the services that have logs",
      answers: { 200: z.object({ services: z.array(z.string()), total: z.int() }) },
    },
    async ({ signal }) => {
      const services = [...(await logStore.services(signal))];
      return { status: 200, body: { services, total: services.length } };
    },
  );
  addReadRoute(router, deps);
  addLiveRoute(router, deps);
}

function addReadRoute(router: Router, { logStore, clock }: LogDeps): void {
  router.route(
    {
      method: "get",
      path: "/api/v1/logs/:service_id",
      permission: "logs:read",
      summary:
        "a service's log, newest line first; the last hour unless start and end say otherwise",
      params,
      query: z.strictObject({
        ...filters,
        start: momentSchema.optional(),
        end: momentSchema.optional(),
        limit: countOf(1, LIMIT_MAX).default(LIMIT_DEFAULT),
      }),
      answers: {
        200: z.object({ logs: z.array(lineSchema), total: z.int(), has_more: z.boolean() }),
      },
    },
    async ({ params: { service_id: service }, query, signal }) => {
      const { limit, level, search, end: to = nowNs(clock) + 1n } = query;
      const from = query.start ?? to - HOUR_NS;
      if (from >= to) throw new HttpProblem(400, "Bad request", "start: must be before end");
      const range = { service, level, search, from, to, direction: "backward" } as const;
      const found = await logStore.read({ ...range, limit: limit + 1 }, signal);
      const logs = found.slice(0, limit).map((line) => shownLine(service, line));
      return { status: 200, body: { logs, total: logs.length, has_more: found.length > limit } };
    },
  );
}

function shownLine(service: string, { at, text, labels }: LogLine) {
  return { timestamp: shownMoment(at), message: text, service, metadata: { ...labels } };
}

function addLiveRoute(router: Router, deps: LogDeps): void {
  router.webSocket(
    {
      path: "/ws/logs/:service_id",
      permission: "logs:read",
      summary: "a service's log as it grows; `cursor` of a message goes on after it",
      params,
      query: z.strictObject({
        ...filters,
        cursor: cursorSchema.optional(),
        tail: countOf(0, TAIL_MAX).default(TAIL_DEFAULT),
      }),
    },
    async (call, upgrade) => {
      const service = call.params.service_id;
      // Before the protocol is switched: what is wrong can still be said in HTTP.
      const { feed, release } = await deps.feeds.take(service, call.principal);
      try {
        const socket = await deps.live.accept(call, upgrade, { permission: "logs:read" });
        socket.onMessage(() => {
          socket.close(1008, "this connection only tells");
        });
        const request = { ...call.query, service, signal: socket.signal };
        await pump(socket, follow(feed, deps.logStore, request), { request, log: deps.log });
      } finally {
        release();
      }
    },
  );
}

/** One message after the other: nothing waits in a queue but in the ring that all share. */
async function pump(
  socket: LiveSocket,
  messages: AsyncGenerator<LogMessage>,
  { request, log }: { readonly request: FollowRequest; readonly log: Log },
): Promise<void> {
  try {
    for await (const message of messages) {
      if (socket.signal.aborted) break;
      await socket.send(JSON.stringify(shownMessage(request.service, message)));
    }
  } catch (error) {
    if (socket.signal.aborted) return; // the client has gone, or was sent away
    if (error instanceof FellBehind) socket.close(1013, `too slow: ${error.message}`);
    else if (error instanceof HttpProblem) socket.close(1013, error.detail ?? error.title);
    else {
      log.error("log stream failed", { error });
      socket.close(1011, "internal error");
    }
  }
}

function shownMessage(service: string, message: LogMessage): object {
  if (message.type === "ready") return message;
  return { ...message, lines: message.lines.map((line) => shownLine(service, line)) };
}
