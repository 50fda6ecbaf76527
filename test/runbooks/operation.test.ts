import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { systemClock } from "../../lib/clock.ts";
import { buildApp, listen, type ListeningServer } from "../../lib/http.ts";
import { createRegistry } from "../../lib/metrics.ts";
import { Secret } from "../../lib/secret.ts";
import { openSources } from "../../runbooks/sources.ts";
import { trustedProxies } from "../../runbooks/trusted-proxies.ts";
import { createRunbooksMetrics } from "../../runbooks/metrics.ts";
import { addRoutes } from "../../runbooks/routes.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { APPROVAL_SECRET, frame, givenService, HMAC_KEY, post, TOKEN } from "./given-service.ts";
import type { GivenService } from "./given-service.ts";

let service: GivenService;

beforeAll(async () => {
  service = await givenService();
});
afterAll(async () => service.stop());

async function get(path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${service.url}${path}`);
  return { status: response.status, body: await response.json() };
}

test("says that it is healthy and ready, and what it looked at", async () => {
  expect(await get("/health")).toMatchObject({
    status: 200,
    body: { status: "healthy", service: "runbooks", checks: { database: { ok: true } } },
  });
  expect(await get("/ready")).toEqual({
    status: 200,
    body: { ready: true, checks: { clock: { ok: true }, database: { ok: true } } },
  });
});

test("counts alerts, duplicates and what became of runs", async () => {
  const body = frame({ app: "unknown-app" });
  await post(service, body);
  await post(service, body);
  await waitUntil("the run's end", async () => {
    const { rowCount } = await service.database.query(
      "SELECT 1 FROM runs WHERE state = 'skipped_target'",
    );
    return rowCount === 1;
  });

  const metrics = await (await fetch(`${service.url}/metrics`)).text();
  for (const line of [
    'runbooks_alerts_received_total{kind="accepted",service="runbooks"} 1',
    'runbooks_alerts_received_total{kind="duplicate",service="runbooks"} 1',
    'runbooks_run_states_total{state="skipped_target",service="runbooks"} 1',
    'runbooks_inbox_waiting{service="runbooks"} 0',
  ]) {
    expect(metrics).toContain(line);
  }
});

test("without its database it is alive, not ready, and asks the sender to come again", async () => {
  await service.databaseProxy.setMode({ kind: "refuse" });
  try {
    expect(await get("/health")).toMatchObject({ status: 200, body: { status: "degraded" } });
    expect(await get("/ready")).toMatchObject({
      status: 503,
      body: { ready: false, checks: { database: { ok: false } } },
    });
    const answer = await post(service, frame());
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("5");
  } finally {
    await service.databaseProxy.setMode({ kind: "pass" });
  }

  expect((await post(service, frame())).status).toBe(202);
  expect(await get("/ready")).toMatchObject({ status: 200 });
});

/** The same routes in front of an intake that takes nothing more. */
async function startFull(why: string): Promise<ListeningServer> {
  const registry = createRegistry("runbooks");
  const readiness = async () => ({ ready: true, checks: {} });
  const app = buildApp({ service: "runbooks", log: service.log, registry, readiness }, (router) => {
    addRoutes(router, {
      intake: {
        database: service.database,
        load: {
          refusal: () => why,
          take: () => true,
          give: () => undefined,
          drain: () => undefined,
        },
        log: service.log,
        sources: openSources({
          webhookToken: new Secret(TOKEN),
          webhookSecret: new Secret(HMAC_KEY),
          sourcesFile: undefined,
          host: "127.0.0.1",
        }),
        proxies: trustedProxies([]),
        certificateHeader: undefined,
        timestampHeader: "x-time",
      },
      database: service.database,
      enqueue: async () => undefined,
      clock: systemClock,
      approvers: [],
      approvalSecret: new Secret(APPROVAL_SECRET),
      metrics: createRunbooksMetrics(registry),
    });
  });
  return listen(app, { host: "127.0.0.1", port: 0 });
}

test("when it can take nothing more it asks the sender to come again, and stores nothing", async () => {
  const full = await startFull("Too many alerts are waiting");
  const before = (await service.database.query("SELECT 1 FROM inbox")).rowCount;

  const answer = await post(full, frame());
  await full.stop();

  expect(answer.status).toBe(503);
  expect(answer.headers.get("retry-after")).toBe("5");
  expect((await service.database.query("SELECT 1 FROM inbox")).rowCount).toBe(before);
});

test("its log holds none of its secrets", () => {
  const text = service.log.text();

  expect(text).not.toBe("");
  for (const secret of [TOKEN, HMAC_KEY, APPROVAL_SECRET]) expect(text).not.toContain(secret);
});
