import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readHypervisorConfig, startHypervisor } from "../../hypervisor/main.ts";
import type { AuditPage } from "../../hypervisor/types.ts";
import type { RunningService } from "../../lib/lifecycle.ts";
import { silentLog } from "../../lib/log.ts";
import { connectTo } from "../exporter/given.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";

const TOKEN = randomBytes(32).toString("hex");

let database: TestDatabase;
let service: RunningService;
let client: Awaited<ReturnType<typeof connectTo>>;

async function start(url: string, more: Readonly<Record<string, string>> = {}) {
  const env = { AIOPS_DATABASE_URL: url, HYPERVISOR_PORT: "0", ...more };
  return startHypervisor(readHypervisorConfig(env), silentLog);
}

beforeAll(async () => {
  database = await createTestDatabase();
  client = await connectTo(database.url);
  await client.query(
    `INSERT INTO runbooks_audit (ts, run_id, event, actor, target, detail, correlation_id) VALUES
      ('2025-09-05T01:23:45.000001Z', 'r1', 'request', 'alertmanager', NULL, '{}', 'c-1'),
      ('2025-09-05T01:23:46Z', 'r1', 'approved', 'ana', 'default/shop/deployment/checkout', '{"n": 12345678901234567890}', 'c-1'),
      ('2025-09-05T01:23:47Z', 'r1', 'failed', 'fettle', 'default/shop/deployment/checkout', '{}', NULL),
      ('2025-09-05T01:23:48Z', 'r2', 'skipped_circuit', 'fettle', 'default/shop/container/web', '{}', NULL)`,
  );
  // There are people already, so the service makes no first admin, which would stand in the audit log.
  await client.query("INSERT INTO hypervisor_users (username, role) VALUES ('ana', 'Viewer')");
  service = await start(database.url, { HYPERVISOR_API_TOKEN: TOKEN });
  await untilStarted();
});
afterAll(async () => {
  await service.stop();
  await client.end();
  await database.drop();
});

/** The service's own first row comes soon after it listens; the tests count from there. */
async function untilStarted(): Promise<void> {
  for (;;) {
    const { rows } = await client.query(
      "SELECT 1 FROM runbooks_audit WHERE event = 'SystemStarted'",
    );
    if (rows.length > 0) return;
    await delay(20);
  }
}

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${service.url ?? ""}${path}`, { headers });
}

async function logs(query = ""): Promise<AuditPage> {
  const response = await get(`/api/v1/audit/logs${query}`, { authorization: `Bearer ${TOKEN}` });
  expect(response.status).toBe(200);
  return (await response.json()) as AuditPage;
}

test("the audit log comes newest first, in the shape of the seed", async () => {
  const page = await logs();

  expect([page.total, page.total_is_capped, page.next]).toEqual([5, false, null]);
  expect(page.logs.map(({ action, result }) => `${action} ${result}`)).toEqual([
    "SystemStarted Success",
    "skipped_circuit Refused",
    "failed Failure",
    "approved Success",
    "request Success",
  ]);
  expect(page.logs[3]).toEqual({
    id: expect.stringMatching(/^\d+$/),
    timestamp: "2025-09-05T01:23:46.000000Z",
    user: "ana",
    action: "approved",
    resource_type: "deployment",
    resource_id: "default/shop/deployment/checkout",
    result: "Success",
    ip_address: null,
    correlation_id: "c-1",
    details: '{"n": 12345678901234567890}',
  });
  expect(page.logs[4]).toMatchObject({ resource_type: "run", resource_id: "r1" });
});

test.each([
  ["?user=fettle", 3, 3],
  ["?resource_type=deployment", 2, 2],
  ["?user=fettle&resource_type=container", 1, 1],
  ["?limit=1", 5, 1],
  ["?limit=1000", 5, 5],
  ["?user=nobody%27%20OR%201%3D1", 0, 0],
])("%s finds %i and shows %i", async (query, total, shown) => {
  const page = await logs(query);

  expect([page.total, page.logs.length]).toEqual([total, shown]);
});

test("pages follow each other by `next`, whatever is written meanwhile", async () => {
  const first = await logs("?limit=4");

  const second = await logs(`?limit=4&before=${first.next ?? ""}`);

  expect(first.logs.map(({ action }) => action)).toEqual([
    "SystemStarted",
    "skipped_circuit",
    "failed",
    "approved",
  ]);
  expect(second.logs.map(({ action }) => action)).toEqual(["request"]);
  expect(second.next).toBeNull();
});

test.each([
  ["?limit=0", /limit: must be a number from 1 to 1000/],
  ["?limit=1001", /limit/],
  ["?limit=ten", /limit/],
  ["?usr=ana", /unknown parameter usr/],
  ["?user=a&user=b", /user/],
  ["?user=", /user/],
])("%s is refused and says why", async (query, detail) => {
  const response = await get(`/api/v1/audit/logs${query}`, { authorization: `Bearer ${TOKEN}` });

  expect(response.status).toBe(400);
  expect(response.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  expect(((await response.json()) as { detail: string }).detail).toMatch(detail);
});

test.each([
  ["no token", {}],
  ["another token", { authorization: `Bearer ${"0".repeat(64)}` }],
  ["a part of the token", { authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
  ["the token as basic password", { authorization: `Basic ${btoa(`admin:${TOKEN}`)}` }],
  ["the token in the query", {}],
])("%s is not enough", async (what, headers) => {
  const query = what.includes("query") ? `?access_token=${TOKEN}` : "";

  const response = await get(`/api/v1/audit/logs${query}`, headers);

  expect(response.status).toBe(401);
  expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
  expect(await response.text()).not.toContain("alertmanager");
});

test("without a configured token the audit log is closed to everybody", async () => {
  const closed = await start(database.url);

  for (const authorization of ["Bearer undefined", "Bearer ", `Bearer ${TOKEN}`]) {
    const response = await fetch(`${closed.url ?? ""}/api/v1/audit/logs`, {
      headers: { authorization },
    });
    expect(response.status).toBe(401);
  }
  await closed.stop();
});

test("a short token is refused by the configuration", () => {
  const env = { AIOPS_DATABASE_URL: "postgres://x", HYPERVISOR_API_TOKEN: "0".repeat(31) };

  expect(() => readHypervisorConfig(env)).toThrow(/HYPERVISOR_API_TOKEN: must have 32 bytes/);
});

test("/metrics has the seed's names with plausible values, and /metrics/json the same", async () => {
  await get("/nowhere");
  const text = await (await get("/metrics")).text();
  const value = (name: string) =>
    Number(new RegExp(`^arm_hypervisor_${name}{[^}]*} (\\S+)$`, "m").exec(text)?.[1]);

  for (const name of [
    "uptime_seconds",
    "cpu_count",
    "memory_total_bytes",
    "memory_available_bytes",
    "memory_used_bytes",
    "disk_total_bytes",
    "disk_free_bytes",
    "disk_used_bytes",
    "http_requests_total",
    "http_errors_total",
  ]) {
    expect([name, value(name) > 0]).toEqual([name, true]);
  }
  expect(value("system_load_1min")).toBeGreaterThanOrEqual(0);
  expect(value("memory_used_bytes")).toBeLessThan(value("memory_total_bytes"));
  expect(value("http_errors_total")).toBeLessThan(value("http_requests_total"));
  const json = (await (await get("/metrics/json")).json()) as { metrics: { name: string }[] };
  expect(json.metrics.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["arm_hypervisor_cpu_count", "process_cpu_seconds_total"]),
  );
});

test("/health says how each dependency is, and a correlation id is given back", async () => {
  const response = await get("/health", { "x-correlation-id": "mine-1" });

  expect(response.headers.get("x-correlation-id")).toBe("mine-1");
  expect(await response.json()).toMatchObject({
    status: "healthy",
    service: "hypervisor",
    checks: { database: { ok: true } },
  });
});

test("without its database it lives, is not ready, and answers 503 with an id to look for", async () => {
  const lonely = await start("postgres://127.0.0.1:1/none", { HYPERVISOR_API_TOKEN: TOKEN });
  const url = lonely.url ?? "";

  const [health, ready] = [await fetch(`${url}/health`), await fetch(`${url}/ready`)];

  expect([health.status, ready.status]).toEqual([200, 503]);
  expect(await health.json()).toMatchObject({ status: "degraded" });
  await lonely.stop();
});

test.each([
  ["a proxy of ours", "127.0.0.1", "203.0.113.9"],
  ["anybody else", "192.0.2.1", "127.0.0.1"],
])("what %s says about its client is what the record has: %s → %s", async (_what, proxy, ip) => {
  const behind = await start(database.url, { HYPERVISOR_TRUSTED_PROXIES: proxy });
  const headers = {
    "x-forwarded-for": "198.51.100.1, 203.0.113.9",
    "x-correlation-id": `ip-${proxy}`,
  };

  await fetch(`${behind.url ?? ""}/api/v1/audit/logs`, { headers });

  await behind.stop();
  const { rows } = await client.query(
    "SELECT detail->>'ip' AS ip FROM runbooks_audit WHERE correlation_id = $1",
    [headers["x-correlation-id"]],
  );
  expect(rows).toEqual([{ ip }]);
});
