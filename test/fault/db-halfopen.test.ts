import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { attemptDelivery, type Attempt } from "../fakes/alertmanager-sender.ts";
import { startFettle, waitUntil, type FettleProcess } from "../fakes/fettle.ts";
import { startTcpProxy, type TcpProxy } from "../fakes/tcp-proxy.ts";
import { CANARIES } from "./canaries.ts";
import { brokenInvariants } from "./invariants.ts";
import { measure, type Measured } from "./measure.ts";
import { givenSurroundings, type Surroundings } from "./surroundings.ts";

const ROUNDS = 8;
const AT_ONCE = 10;
const ANSWER_MAX_MS = 5_000;
const RECOVERY_MAX_MS = 10_000;
/** The pools of one service: its work, its intake, its jobs. */
const CONNECTIONS_MAX = 10 + 4 + 4;

let around: Surroundings;
let proxy: TcpProxy;
let service: FettleProcess;
let before: Measured;
beforeAll(async () => {
  around = await givenSurroundings();
  const direct = new URL(around.env["AIOPS_DATABASE_URL"] ?? "");
  proxy = await startTcpProxy({ host: direct.hostname, port: Number(direct.port) });
  const url = Object.assign(new URL(direct), { port: String(proxy.port) }).href;
  service = await startFettle("runbooks", "RUNBOOKS_PORT", {
    ...around.env,
    AIOPS_DATABASE_URL: url,
  });
  before = await measure(service.url);
});
afterAll(async () => {
  await proxy.setMode({ kind: "pass" });
  await service.stop();
  await proxy.stop();
  await around.stop();
});

let sent = 0;
async function send(): Promise<Attempt> {
  sent += 1;
  const labels = { alertname: "Nobody's", namespace: "shop", app: `app-${sent}` };
  const alert = { status: "firing", labels, annotations: {}, startsAt: "2026-11-21T03:00:00Z" };
  const frame = { version: "4", receiver: "fettle", status: "firing", alerts: [alert] };
  return attemptDelivery(`${service.url}/alertmanager`, JSON.stringify(frame), {
    authorization: `Bearer ${CANARIES.token}`,
  });
}

async function connections(): Promise<number> {
  const { rowCount } = await around.database.query(
    "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'fettle%' AND datname = current_database()",
  );
  return rowCount;
}

test("on a network to the database that is dead without a word, each answer is 503 within 5 s, and no connection is left behind", async () => {
  await waitUntil("an alert to be taken", async () => (await send()).status === 202);

  await proxy.setMode({ kind: "blackhole" });
  const attempts: Attempt[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    attempts.push(...(await Promise.all(Array.from({ length: AT_ONCE }, send))));
    await sleep(250);
  }
  const health = await fetch(`${service.url}/health`);
  await proxy.setMode({ kind: "pass" });
  const passedAt = performance.now();
  await waitUntil("an answer of 202", async () => (await send()).status === 202, RECOVERY_MAX_MS);
  const recoveredAfter = performance.now() - passedAt;

  expect(new Set(attempts.map(({ status }) => status))).toEqual(new Set([503]));
  expect(Math.max(...attempts.map(({ milliseconds }) => milliseconds))).toBeLessThan(ANSWER_MAX_MS);
  expect(health.status).toBe(200);
  expect(recoveredAfter).toBeLessThan(RECOVERY_MAX_MS);
  await waitUntil("no more connections than pools have", async () => {
    return (await connections()) <= CONNECTIONS_MAX;
  });
  await waitUntil("all to be processed", async () => {
    const { rowCount } = await around.database.query(
      "SELECT 1 FROM inbox WHERE processed_at IS NULL",
    );
    return rowCount === 0;
  });
  const processes = [{ url: service.url, before }];
  expect(await brokenInvariants({ ...around, output: service.output, processes })).toEqual([]);
}, 150_000);
