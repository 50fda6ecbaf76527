import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { connectOwner, type Owner } from "../audit/given.ts";
import { writeKubeconfig } from "../fakes/kubeconfig.ts";
import { startAlertmanager } from "../servers/alertmanager.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { startPrivateRedis } from "../servers/redis.ts";
import { answering, doctor, json, stopAnswering, type Line } from "./given-doctor.ts";

let testDatabase: TestDatabase;
let owner: Owner;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  owner = await connectOwner(testDatabase.url);
});
afterEach(stopAnswering);
afterAll(async () => {
  await owner.end();
  await testDatabase.drop();
});

test("with nothing but a sound database nothing fails, and what is not configured is said", async () => {
  const { exit, of, lines } = await doctor({ AIOPS_DATABASE_URL: testDatabase.url });

  expect(of("database", "version")[0]?.detail).toMatch(/^PostgreSQL 1[3-9]/);
  expect(of("database", "migrations")).toMatchObject([{ result: "ok", detail: "all there" }]);
  expect(of("database", "clock")[0]?.result).toBe("ok");
  // The test servers run without it, and the tests' role made the tables.
  expect(of("database", "durability")[0]?.result).toBe("failed");
  expect(of("database", "rights on the record")[0]?.result).toBe("warning");
  for (const area of ["redis", "slack", "kubernetes", "alertmanager", "prometheus"])
    expect(of(area)).toMatchObject([{ result: "skipped" }]);
  expect(lines.filter(({ result }) => result === "failed").map(({ what }) => what)).toEqual([
    "durability",
  ]);
  expect(exit).toBe(1);
});

test("a database that is empty, away, or that nobody may use is said so, without its password", async () => {
  const away = await doctor({
    AIOPS_DATABASE_URL: "postgres://fettle:canary-password@127.0.0.1:1/fettle",
  });
  const empty = Object.assign(new URL(testDatabase.url), { pathname: "/postgres" }).href;
  const unmigrated = await doctor({ AIOPS_DATABASE_URL: empty });

  expect(away.of("database")).toMatchObject([
    { result: "failed", detail: expect.stringContaining("ECONNREFUSED") },
  ]);
  expect(away.text).not.toContain("canary-password");
  expect(unmigrated.of("database", "migrations")[0]?.detail).toMatch(
    /^\d+ are missing, from 0001_runbooks: run fettle migrate$/,
  );
  expect([away.exit, unmigrated.exit]).toEqual([1, 1]);
});

test("a role of its own with the documented grants is fine, without them it is named what lacks", async () => {
  const role = `doctor_${process.pid}`;
  await owner.run(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA public, pgboss TO ${role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, pgboss TO ${role};
    REVOKE UPDATE, DELETE, TRUNCATE ON runbooks_audit, audit_checkpoints FROM ${role};
    REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON audit_heads, audit_chain_start FROM ${role}`);
  const env = {
    AIOPS_DATABASE_URL: Object.assign(new URL(testDatabase.url), { username: role }).href,
  };

  const granted = await doctor(env);
  await owner.run(`REVOKE SELECT ON runs FROM ${role}`);
  const lacking = await doctor(env);
  await owner.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);

  expect(granted.of("database", "rights of the role")[0]?.result).toBe("ok");
  expect(granted.of("database", "rights on the record")[0]).toMatchObject({
    result: "ok",
    detail: "append only",
  });
  expect(lacking.of("database", "rights of the role")[0]?.detail).toContain("public.runs");
});

test("a record that was found tampered with fails", async () => {
  await owner.query(
    `INSERT INTO audit_checks (finished_at, rows, chains, problems) VALUES (now(), 5, 1, $1)`,
    [
      JSON.stringify([
        { kind: "edited", chain: "run_1", id: "3", text: "id 3 is not what was written" },
      ]),
    ],
  );
  const { of } = await doctor({ AIOPS_DATABASE_URL: testDatabase.url });
  await owner.query("DELETE FROM audit_checks");

  expect(of("database", "the record")).toMatchObject([
    { result: "failed", detail: expect.stringContaining("id 3 is not what was written") },
  ]);
});

test("every mistake of the configuration is told, and the rest is looked at all the same", async () => {
  const { of, exit } = await doctor({
    AIOPS_DATABASE_URL: testDatabase.url,
    RUNBOOK_AUTOFIX_POLICY: "nonsense",
    RUNBOOKS_PORT: "http",
  });

  expect(of("configuration").map(({ result }) => result)).toContain("failed");
  expect(of("configuration")[0]?.detail).toContain("RUNBOOKS_PORT");
  expect(of("database", "migrations")[0]?.result).toBe("ok");
  expect(exit).toBe(1);
});

test("Redis is asked whether it can be written to", async () => {
  const redis = await startPrivateRedis();
  const alive = await doctor({ RUNBOOK_REDIS_URL: redis.url });
  await redis.stop();
  const gone = await doctor({ RUNBOOK_REDIS_URL: redis.url });

  expect(alive.of("redis")).toMatchObject([{ result: "ok" }]);
  expect(gone.of("redis")).toMatchObject([{ result: "failed" }]);
});

test.each([
  [
    "chat:write,channels:history",
    [
      ["auth.test", "ok"],
      ["scopes", "ok"],
    ],
  ],
  [
    "channels:history",
    [
      ["auth.test", "ok"],
      ["scope chat:write", "failed"],
    ],
  ],
  [
    "chat:write",
    [
      ["auth.test", "ok"],
      ["scope channels:history", "warning"],
    ],
  ],
])("a Slack bot with the rights %s", async (scopes, expected) => {
  const answer = { ok: true, user: "fettle", team: "Example" };
  const url = await answering(json(answer, { "x-oauth-scopes": scopes }));
  const env = {
    SLACK_BOT_TOKEN: "xoxb-canary-0123456789",
    SLACK_CHANNEL: "C0X",
    SLACK_API_URL: url,
  };

  const { of, text } = await doctor(env);

  expect(of("slack").map(({ what, result }) => [what, result])).toEqual([
    ...expected,
    ["signing secret", "warning"],
  ]);
  expect(of("slack")[0]?.detail).toBe("fettle in Example");
  expect(text).not.toContain("xoxb-canary");
});

test("a Slack token that is refused fails; so do usergroups that cannot be read", async () => {
  const refusing = await answering(json({ ok: false, error: "invalid_auth" }));
  const poor = await answering(
    json({ ok: true }, { "x-oauth-scopes": "chat:write,groups:history" }),
  );
  const bot = { SLACK_BOT_TOKEN: "xoxb-x", SLACK_CHANNEL: "C0X" };

  const refused = await doctor({ ...bot, SLACK_API_URL: refusing });
  const lacking = await doctor({ ...bot, SLACK_API_URL: poor, RUNBOOK_APPROVERS: "@S0ONCALL" });

  expect(refused.of("slack")).toMatchObject([
    { result: "failed", detail: "Slack refused auth.test: invalid_auth" },
  ]);
  expect(lacking.of("slack", "scope usergroups:read")).toMatchObject([{ result: "failed" }]);
});

const WEBHOOK = { url: "http://runbooks:8080/alertmanager", send_resolved: true };

async function withAlertmanager(config: object): Promise<readonly Line[]> {
  const alertmanager = await startAlertmanager({ config: JSON.stringify(config) });
  const found = await doctor({ RUNBOOK_ALERTMANAGER_URL: alertmanager.url });
  await alertmanager.stop();
  return found.of("alertmanager");
}

test("a real Alertmanager that leads to us is fine; one that does not is told why", async () => {
  const receivers = [{ name: "fettle", webhook_configs: [WEBHOOK] }, { name: "other" }];
  const good = await withAlertmanager({
    route: { receiver: "other", routes: [{ receiver: "fettle" }] },
    receivers,
  });
  const bad = await withAlertmanager({
    route: { receiver: "other" },
    receivers: [
      { name: "other" },
      { name: "fettle", webhook_configs: [{ ...WEBHOOK, send_resolved: false, max_alerts: 5 }] },
    ],
  });
  const none = await withAlertmanager({
    route: { receiver: "other" },
    receivers: [{ name: "other" }],
  });

  expect(good.map(({ what, result }) => [what, result])).toEqual([
    ["receiver", "ok"],
    ["route", "ok"],
  ]);
  expect(bad.map(({ what, result }) => [what, result])).toEqual([
    ["receiver", "ok"],
    ["route", "failed"],
    ["send_resolved", "failed"],
    ["max_alerts", "warning"],
  ]);
  expect(none).toMatchObject([{ result: "failed", what: "receiver" }]);
});

test("Prometheus is asked a question", async () => {
  const answer = { status: "success", data: { resultType: "vector", result: [] } };
  const alive = await answering(json(answer));

  expect((await doctor({ PROM_URL: alive })).of("prometheus")).toMatchObject([{ result: "ok" }]);
  expect((await doctor({ PROM_URL: "http://127.0.0.1:1" })).of("prometheus")).toMatchObject([
    { result: "failed" },
  ]);
});

test("a cluster that does not answer fails in time, and keeps nobody else", async () => {
  const kubeconfig = await writeKubeconfig({
    url: "http://127.0.0.1:1",
    token: "canary-cluster-token",
  });
  const { of, text } = await doctor(
    { KUBECONFIG: kubeconfig.path, AIOPS_DATABASE_URL: testDatabase.url },
    ...["--namespace", "shop"],
  );
  await kubeconfig.remove();

  expect(of("kubernetes")).toMatchObject([{ result: "failed" }]);
  expect(of("database", "migrations")[0]?.result).toBe("ok");
  expect(text).not.toContain("canary-cluster-token");
});
