import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "@jest/globals";
import { frame, givenService, TOKEN } from "../given-service.ts";

test("a connection that stays open while the service ends gets 503, and nothing of it is stored", async () => {
  const service = await givenService();
  const { hostname, port } = new URL(service.url);
  const socket = connect(Number(port), hostname);
  const body = frame();
  const head = `POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: ${body.length}\r\n`;
  // The server sees a request begin, so it keeps the connection; its head ends when the service is about to end.
  socket.write(head);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const stopped = service.stop();
  await new Promise((resolve) => setTimeout(resolve, 200));
  socket.write(`\r\n${body}`);

  const [answer] = (await once(socket, "data")) as [Buffer];

  expect(answer.toString()).toMatch(/^HTTP\/1\.1 503 /);
  expect(answer.toString()).toMatch(/\r\nRetry-After: 5\r\n/);
  await stopped;
});
