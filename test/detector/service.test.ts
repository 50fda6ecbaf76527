import { expect, test } from "@jest/globals";
import { createTestDatabase } from "../servers/postgres.ts";
import { cleanups, givenService, text, until } from "./given-service.ts";

test("from the query to the alert: metrics, listing, row and one post; a restart keeps the episode", async () => {
  const database = await createTestDatabase();
  cleanups.push(database.drop);
  const world = await givenService(5);
  const first = await world.start({ AIOPS_DATABASE_URL: database.url });
  await world.minutes(8, first);
  await until(async () => Promise.resolve(world.posted.length === 1));

  expect(world.posted[0]?.alerts[0]?.labels).toMatchObject({
    alertname: "AIOpsAnomalyDetected",
    metric: "latency_p99",
    reason: "level_shift",
    namespace: "shop",
    app: "checkout",
  });
  expect(await text(first.url, "/metrics")).toMatch(
    /aiops_anomaly_current\{[^}]*metric="latency_p99"[^}]*\} 1/,
  );
  expect((await fetch(`${first.url}/ready`)).status).toBe(200);
  expect(JSON.parse(await text(first.url, "/anomalies"))).toMatchObject({
    anomalies: [{ reason: "level_shift", openedAt: "2026-11-20T00:05:00.000Z", closedAt: null }],
  });
  await first.stop();

  const second = await world.start({ AIOPS_DATABASE_URL: database.url });
  expect(await text(second.url, "/metrics")).toMatch(
    /aiops_anomaly_info\{[^}]*reason="level_shift"[^}]*\} 1/,
  );
  await world.minutes(4, second);

  expect(world.posted).toHaveLength(1);
  expect(world.anomalies).toHaveLength(1);
});

test("without its database the detector scores and alerts on, and its health says so", async () => {
  const world = await givenService(5);
  const service = await world.start({ AIOPS_DATABASE_URL: "postgres://nobody@127.0.0.1:9/none" });
  await world.minutes(7, service);
  await until(async () => Promise.resolve(world.posted.length === 1));

  const health = JSON.parse(await text(service.url, "/health")) as {
    status: string;
    checks: Record<string, { ok: boolean }>;
  };
  expect(health.status).toBe("degraded");
  expect(health.checks).toMatchObject({ database: { ok: false }, prometheus: { ok: true } });
});

test("without a Prometheus it starts all the same, and says that it is not ready", async () => {
  const world = await givenService(5);
  const service = await world.start({ PROM_URL: "http://127.0.0.1:9" });

  const health = JSON.parse(await text(service.url, "/health")) as {
    checks: Record<string, unknown>;
  };
  expect(health.checks).toMatchObject({ prometheus: { ok: false }, history: { ok: false } });
  expect((await fetch(`${service.url}/ready`)).status).toBe(503);
});

test("a port that is taken ends the start with an error, and leaves nothing running", async () => {
  const world = await givenService(5);
  const first = await world.start();

  await expect(world.start({ DETECTOR_PORT: new URL(first.url).port })).rejects.toThrow(
    "EADDRINUSE",
  );
});
