import { createServer, STATUS_CODES, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import express, {
  type ErrorRequestHandler,
  type Express,
  type RequestHandler,
  type Response,
} from "express";
import helmet from "helmet";
import type { Registry } from "prom-client";
import { capConnections, type ConnectionCap } from "./connection-cap.ts";
import {
  CORRELATION_HEADER,
  correlationId,
  correlationIdOf,
  withCorrelation,
} from "./correlation.ts";
import { codeOf, hasCode } from "./error.ts";
import { exposition } from "./exposition.ts";
import type { Log } from "./log.ts";
import { createHttpMetrics, type HttpMetrics } from "./metrics.ts";
import { isUnavailable } from "./postgres.ts";
import { HttpProblem } from "./problem.ts";

/** Node's defaults (60 s, 300 s, checked every 30 s) let slow clients hold connections too long. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
const CONNECTIONS_CHECK_INTERVAL_MS = 1_000;
const MAX_CONNECTIONS = 1_000;
/** Connections that wait to be taken. Past Node's 511 the kernel drops them, and who is honest waits 1, 3, 7 … s for its next try; Linux caps it by net.core.somaxconn, 4096 since 5.4. */
const BACKLOG = 4_096;
const DRAIN_TIMEOUT_MS = 5_000;
const RETRY_AFTER_SECONDS = "5";

interface Check {
  readonly ok: boolean;
  readonly detail?: string | undefined;
}

/** Whether a service can take work now, and what it looked at to say so. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, Check>>;
}

export interface AppOptions {
  readonly service: string;
  readonly log: Log;
  readonly registry: Registry;
  readonly readiness: () => Promise<Readiness>;
}

/**
 * The frame that all services share. The order of the middleware, on one screen: correlation, headers, measuring, the
 * three operational endpoints, the service's own routes, 404, errors.
 */
export function buildApp(options: AppOptions, routes: (app: Express) => void): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("query parser", "simple");
  app.use(correlate);
  app.use(
    helmet({
      contentSecurityPolicy: { directives: CSP },
      referrerPolicy: { policy: "no-referrer" },
    }),
  );
  app.use(measure(createHttpMetrics(options.registry), options.log));
  app.get("/health", health(options));
  app.get("/ready", ready(options));
  app.get("/metrics", metrics(options));
  routes(app);
  app.use(() => {
    throw new HttpProblem(404, "Not found");
  });
  app.use(answerError(options.log));
  return app;
}

const CSP = {
  "default-src": ["'none'"],
  "script-src": ["'self'"],
  "style-src": ["'self'"],
  "img-src": ["'self'", "data:"],
  "form-action": ["'self'"],
  "frame-ancestors": ["'none'"],
  "base-uri": ["'none'"],
  "upgrade-insecure-requests": null, // plain http behind an ingress, and on loopback
};

const correlate: RequestHandler = (request, response, next) => {
  const id = correlationIdOf(request.get(CORRELATION_HEADER));
  response.set(CORRELATION_HEADER, id);
  withCorrelation(id, next);
};

function measure(httpMetrics: HttpMetrics, log: Log): RequestHandler {
  return (request, response, next) => {
    const start = performance.now();
    response.on("finish", () => {
      const seconds = (performance.now() - start) / 1000;
      const route = routeOf(request);
      httpMetrics.observe(request.method, route, response.statusCode, seconds);
      log.debug("request answered", {
        method: request.method,
        route,
        status: response.statusCode,
        seconds,
      });
    });
    next();
  };
}

function routeOf(request: { readonly route?: unknown }): string {
  const route = request.route as { readonly path?: unknown } | undefined;
  return typeof route?.path === "string" ? route.path : "unmatched";
}

/** Liveness: the process answers. A broken dependency shows, but never makes Kubernetes restart us. */
function health({ service, readiness }: AppOptions): RequestHandler {
  return async (_request, response) => {
    const { ready: ok, checks } = await readiness();
    response.json({
      // Also what the service can work without: `ready` tells whether it works.
      status: ok && Object.values(checks).every((check) => check.ok) ? "healthy" : "degraded",
      service,
      uptime_seconds: process.uptime(),
      checks,
    });
  };
}

function ready({ readiness }: AppOptions): RequestHandler {
  return async (_request, response) => {
    const result = await readiness();
    response.status(result.ready ? 200 : 503).json(result);
  };
}

function metrics({ registry, log }: AppOptions): RequestHandler {
  return async (_request, response) => {
    response.set("Content-Type", registry.contentType);
    try {
      await pipeline(exposition(registry), response);
    } catch (error) {
      // The connection is cut, so half an answer never looks whole; who hangs up in the middle is nobody's error.
      if (!hasCode(error, "ERR_STREAM_PREMATURE_CLOSE")) log.error("metrics not told", { error });
    }
  };
}

function answerError(log: Log): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    if (response.headersSent) {
      next(error);
      return;
    }
    const problem = problemOf(error);
    if (problem.status >= 500)
      log.error("request failed", { method: request.method, status: problem.status, error });
    sendProblem(response, problem);
  };
}

/** What is told of an error: a problem as it is, anything else without its message. */
export function problemOf(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (isUnavailable(error)) {
    return new HttpProblem(
      503,
      "Temporarily unavailable",
      "The database does not answer; try again.",
      {
        "Retry-After": RETRY_AFTER_SECONDS,
      },
    );
  }
  const status = (error as { readonly status?: unknown }).status;
  // Express' own refusals (a malformed path, for instance) carry a 4xx; everything else keeps its message to the log.
  if (typeof status === "number" && status >= 400 && status < 500)
    return new HttpProblem(status, "Bad request");
  return new HttpProblem(500, "Internal error");
}

/** Answers with `application/problem+json` (RFC 9457) and the correlation id, by which the log line is found. */
function sendProblem(response: Response, { status, title, detail, headers }: HttpProblem): void {
  response.set(headers).status(status).type("application/problem+json");
  response.send(
    JSON.stringify({ type: "about:blank", status, title, detail, correlation_id: correlationId() }),
  );
}

export interface ListeningServer {
  readonly url: string;
  readonly port: number;
  /** Stops accepting, lets open requests finish (at most 5 s), then closes. */
  stop(): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** From the first to the last byte of a request. */
  readonly requestTimeoutMs?: number;
  /** Without it one address may take all connections. */
  readonly cap?: ConnectionCap;
  /** All of them together, WebSockets included; 1,000 unless set. */
  readonly connectionsMax?: number;
  /** Takes over the socket of a request to switch protocols; without it Node hangs up. */
  readonly upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/** @throws when the address is taken or not ours */
export async function listen(app: Express, options: ListenOptions): Promise<ListeningServer> {
  const { host, port, requestTimeoutMs = REQUEST_TIMEOUT_MS, cap, upgrade } = options;
  const server = createServer({ connectionsCheckingInterval: CONNECTIONS_CHECK_INTERVAL_MS }, app);
  server.headersTimeout = Math.min(HEADERS_TIMEOUT_MS, requestTimeoutMs);
  server.requestTimeout = requestTimeoutMs;
  server.maxConnections = options.connectionsMax ?? MAX_CONNECTIONS;
  if (cap !== undefined) capConnections(server, cap);
  if (upgrade !== undefined) server.on("upgrade", upgrade);
  server.on("clientError", answerUnreadable);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host, backlog: BACKLOG }, resolve);
  });
  const bound = server.address() as AddressInfo;
  const shownHost = host.includes(":") ? `[${host}]` : host === "0.0.0.0" ? "127.0.0.1" : host;
  return {
    url: `http://${shownHost}:${bound.port}`,
    port: bound.port,
    stop: async () => drain(server),
  };
}

/** As Node answers by itself, but for one: it says 408 to a late sender, which Alertmanager takes as its last word. */
function answerUnreadable(error: Error, socket: Duplex): void {
  if (!socket.writable || hasCode(error, "ECONNRESET")) {
    socket.destroy();
    return;
  }
  const status = UNREADABLE.get(codeOf(error)) ?? 400;
  const retry = status === 503 ? `Retry-After: ${RETRY_AFTER_SECONDS}\r\n` : "";
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${retry}Connection: close\r\n\r\n`,
  );
}

const UNREADABLE: ReadonlyMap<string, number> = new Map([
  ["ERR_HTTP_REQUEST_TIMEOUT", 503],
  ["HPE_HEADER_OVERFLOW", 431],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", 413],
]);

async function drain(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  server.closeIdleConnections();
  const timer = setTimeout(() => {
    server.closeAllConnections();
  }, DRAIN_TIMEOUT_MS);
  await closed;
  clearTimeout(timer);
}
