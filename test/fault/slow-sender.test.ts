import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import express from "express";
import { buildApp, listen, type ListeningServer } from "../../lib/http.ts";
import { silentLog } from "../../lib/log.ts";
import { createRegistry } from "../../lib/metrics.ts";

let server: ListeningServer;

beforeAll(async () => {
  const options = {
    service: "test",
    log: silentLog,
    registry: createRegistry("test"),
    readiness: async () => ({ ready: true, checks: {} }),
  };
  const app = buildApp(options, (router) => {
    router.post("/alerts", express.json(), (_request, response) => {
      response.status(202).json({});
    });
  });
  server = await listen(app, { host: "127.0.0.1", port: 0, requestTimeoutMs: 500 });
});
afterAll(async () => server.stop());

/** What comes back for these bytes, until the server closes the connection. */
async function answerTo(bytes: string): Promise<string> {
  const socket = connect(server.port, "127.0.0.1");
  socket.write(bytes);
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString()));
  await once(socket, "close");
  return answer;
}

const HEAD = "POST /alerts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

test("a body that does not come to its end is answered with 503: 408 would be final for Alertmanager", async () => {
  expect(await answerTo(`${HEAD}Content-Length: 100\r\n\r\n{`)).toMatch(
    /^HTTP\/1\.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n/,
  );
});

test("a head that does not come to its end is cut off in the same way", async () => {
  expect(await answerTo("POST /alerts HTTP/1.1\r\nHost:")).toMatch(/^HTTP\/1\.1 503 /);
});

test("what is no HTTP gets 400, and a head of 20 KiB gets 431", async () => {
  expect(await answerTo("SSH-2.0-x\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
  expect(await answerTo(`${HEAD}X: ${"x".repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
});
