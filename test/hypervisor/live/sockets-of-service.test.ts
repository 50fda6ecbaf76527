import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { WebSocket } from "ws";
import { createWatch } from "../../../hypervisor/live/watch.ts";
import { NOBODY } from "../../../hypervisor/frame/guard.ts";
import { systemClock, type Clock } from "../../../lib/clock.ts";
import { silentLog } from "../../../lib/log.ts";
import { waitUntil } from "../../fakes/fettle.ts";
import { startLoki, type Loki } from "../../fakes/loki.ts";
import { startOidcIssuer, type OidcIssuer } from "../../fakes/oidc-issuer.ts";
import { finished } from "../finished.ts";
import { fresh, givenHypervisor, STATIC_TOKEN, type Hypervisor } from "../given.ts";

let issuer: OidcIssuer;
let loki: Loki;
let api: Hypervisor;
beforeAll(async () => {
  issuer = await startOidcIssuer();
  loki = await startLoki();
  api = await givenHypervisor({ OIDC_ISSUER: issuer.url, LOKI_URL: loki.url });
});
afterAll(async () => {
  await api.stop();
  await loki.stop();
  await issuer.stop();
});

const now = () => Math.floor(Date.now() / 1000);

test("a WebSocket that a token of the identity provider opened ends with the token", async () => {
  const name = fresh("person");
  const user = { username: name, role: "Viewer", password: null };
  await api.send("/api/v1/users", { method: "POST", body: user });
  const flow = { workflow_id: "flow", percent_complete: 1 };
  await api.send("/progress/update", { method: "POST", body: flow });
  const open = async (path: string, exp: number) => {
    const claims = { aud: "fettle-hypervisor", preferred_username: name, exp };
    const headers = { authorization: `Bearer ${await issuer.sign(claims)}` };
    const socket = new WebSocket(`${api.url.replace("http", "ws")}${path}`, { headers });
    const closed = new Promise<readonly [number, string, boolean]>((resolve, reject) => {
      socket.once("close", (code, reason) => {
        resolve([code, reason.toString(), now() >= exp]);
      });
      socket.once("error", reject);
    });
    await Promise.race([closed, new Promise((resolve) => socket.once("message", resolve))]);
    return { socket, closed };
  };
  const end = now() + 10; // a busy machine must have opened them by then

  const short = [await open("/ws/logs/x", end), await open("/progress/ws?workflow_id=flow", end)];
  const long = await open("/ws/logs/x", end + 300);

  const ended = await Promise.all(short.map(async ({ closed }) => closed));
  expect(ended).toEqual(ended.map(() => [4401, "the token has expired", true]));
  expect(long.socket.readyState).toBe(WebSocket.OPEN);
  long.socket.terminate();
  await long.closed;
});

test("a token that lasts for years ends nothing now", async () => {
  const slept: number[] = [];
  const clock: Clock = {
    now: () => new Date("2026-11-21T12:00:00Z"),
    sleep: async (ms, signal) => {
      slept.push(ms);
      await systemClock.sleep(60_000, signal);
    },
  };
  const standing = async () => Promise.reject(new Error("nobody asks in here"));
  const watch = createWatch({ standing, clock, log: silentLog });
  const ends: number[] = [];
  const principal = { ...NOBODY, expiresAt: new Date("2036-11-21T12:00:00Z") };
  const forget = watch.add({ principal, permission: "logs:read" }, (code) => ends.push(code));

  expect([slept.length, ends]).toEqual([2, []]);
  expect(Math.max(...slept)).toBeLessThan(2 ** 31); // Node takes more for nothing at all
  forget();
  await watch.stop();
});

test("a terminal's rows, from its opening to its end, are found by the id of the answer that opened it", async () => {
  const web = { name: "web", image: "debian:12" };
  await finished(api, await api.send("/api/v1/containers", { method: "POST", body: web }));
  await api.send("/api/v1/containers/web/action", { method: "POST", body: { action: "start" } });
  const headers = { authorization: `Bearer ${STATIC_TOKEN}`, "x-correlation-id": "one-shell" };
  const socket = new WebSocket(`${api.url.replace("http", "ws")}/ws/terminal/web`, { headers });
  const answered = once(socket, "upgrade") as Promise<[IncomingMessage]>;
  await once(socket, "open");
  socket.close();

  const rows = async () => (await api.rows()).filter((row) => row.correlation === "one-shell");
  await waitUntil("the end of the terminal", async () => (await rows()).length === 2);
  expect((await rows()).map(({ event }) => event)).toEqual(["TerminalOpened", "TerminalClosed"]);
  expect((await answered)[0].headers["x-correlation-id"]).toBe("one-shell");
});
