import { connect } from "node:net";
import { once } from "node:events";
import { afterEach, expect, test } from "@jest/globals";
import type { Express } from "express";
import { Gauge } from "prom-client";
import { buildApp, listen, type ListeningServer, type Readiness } from "../../lib/http.ts";
import { silentLog } from "../../lib/log.ts";
import { createRegistry } from "../../lib/metrics.ts";
import { HttpProblem } from "../../lib/problem.ts";

let server: ListeningServer | undefined;

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function given(
  routes: (app: Express) => void = () => undefined,
  readiness: Readiness = { ready: true, checks: {} },
): Promise<string> {
  const options = {
    service: "test",
    log: silentLog,
    registry: createRegistry("test"),
    readiness: async () => readiness,
  };
  server = await listen(buildApp(options, routes), { host: "127.0.0.1", port: 0 });
  return server.url;
}

test("answers a refusal as problem+json with the correlation id of the request", async () => {
  const url = await given((app) => {
    app.get("/x", () => {
      throw new HttpProblem(409, "Conflict", "somebody was faster", { "Retry-After": "5" });
    });
  });

  const response = await fetch(`${url}/x`, { headers: { "X-Correlation-ID": "run-7" } });

  expect(response.status).toBe(409);
  expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  expect(response.headers.get("retry-after")).toBe("5");
  expect(response.headers.get("x-correlation-id")).toBe("run-7");
  expect(await response.json()).toEqual({
    type: "about:blank",
    status: 409,
    title: "Conflict",
    detail: "somebody was faster",
    correlation_id: "run-7",
  });
});

test("keeps the message of an unexpected error to the log", async () => {
  const url = await given((app) => {
    app.get("/x", () => {
      throw new Error("password=hunter2");
    });
  });

  const response = await fetch(`${url}/x`);

  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("hunter2");
});

test("says 503 and when to come back when the database is away", async () => {
  const url = await given((app) => {
    app.get("/x", () => {
      throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    });
  });

  const response = await fetch(`${url}/x`);

  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
});

test("does not take over a correlation id that could do harm in a log", async () => {
  const url = await given();

  const response = await fetch(`${url}/nothing`, {
    headers: { "X-Correlation-ID": "a b<script>" },
  });

  expect(response.status).toBe(404);
  expect(response.headers.get("x-correlation-id")).toMatch(/^[0-9a-f-]{36}$/);
});

test("a service that is not ready says so in /ready, and stays alive in /health", async () => {
  const url = await given(undefined, {
    ready: false,
    checks: { database: { ok: false, detail: "refused" } },
  });

  const [ready, health] = await Promise.all([fetch(`${url}/ready`), fetch(`${url}/health`)]);

  expect([ready.status, health.status]).toEqual([503, 200]);
  expect(await health.json()).toMatchObject({
    status: "degraded",
    checks: { database: { ok: false } },
  });
});

test("counts requests by the route's pattern, never by the path", async () => {
  const url = await given((app) => {
    app.get("/runs/:id", (_request, response) => {
      response.send("ok");
    });
  });
  await fetch(`${url}/runs/1`);
  await fetch(`${url}/runs/2`);
  await fetch(`${url}/wp-login.php`);

  const metrics = await (await fetch(`${url}/metrics`)).text();

  expect(metrics).toMatch(/fettle_http_requests_total\{[^}]*route="\/runs\/:id"[^}]*\} 2/);
  expect(metrics).toMatch(/fettle_http_requests_total\{[^}]*route="unmatched"[^}]*\} 1/);
  expect(metrics).not.toContain("wp-login");
});

test("hangs up on a client that does not finish its headers", async () => {
  const url = new URL(await given());
  const socket = connect(Number(url.port), url.hostname);
  await once(socket, "connect");
  const start = performance.now();

  socket.write("GET / HTTP/1.1\r\nX-Slow: ");
  socket.resume();
  await once(socket, "close");

  expect(performance.now() - start).toBeLessThan(14_000);
});

test("metrics that cannot be told are no half answer, and the next question is answered", async () => {
  const registry = createRegistry("test");
  let works = false;
  new Gauge({
    name: "fragile",
    help: "f",
    registers: [registry],
    collect() {
      if (!works) throw new Error("not now");
    },
  });
  const readiness = async () => ({ ready: true, checks: {} });
  const options = { service: "test", log: silentLog, registry, readiness };
  server = await listen(
    buildApp(options, () => undefined),
    { host: "127.0.0.1", port: 0 },
  );

  await expect(fetch(`${server.url}/metrics`).then((answer) => answer.text())).rejects.toThrow();
  works = true;

  expect(await (await fetch(`${server.url}/metrics`)).text()).toMatch(/^fragile\{[^}]*\} 0$/m);
});
