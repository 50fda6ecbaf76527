import { expect, test } from "@jest/globals";
import { startReceiver } from "../fakes/receivers.ts";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { createTestDatabase, startPrivatePostgres } from "../servers/postgres.ts";
import { cleanups, givenService, text, until } from "./given-service.ts";

test("two replicas on one database: every channel hears of an incident once, and of its end once", async () => {
  const database = await createTestDatabase();
  const slack = await startReceiver("slack");
  cleanups.push(database.drop, slack.stop);
  const world = await givenService(5);
  world.rewrite((value, minute) => (minute >= 15 ? value - 60 : value));
  const env = { AIOPS_DATABASE_URL: database.url, SLACK_WEBHOOK_URL: slack.url };
  const one = await world.start(env);
  const other = await world.start(env);

  for (let minute = 0; minute < 25; minute += 1) {
    await world.minutes(1, one);
  }
  await until(async () => {
    const rows = await world.sql(
      database.url,
      "SELECT 1 FROM aiops_outbox WHERE status = 'resolved' AND settled_at IS NOT NULL",
    );
    return Promise.resolve(rows.length >= 2 && world.posted.length >= 2);
  });
  await one.stop();
  await other.stop();

  expect(world.posted.map(({ status }) => status)).toEqual(["firing", "resolved"]);
  expect(slack.taken).toHaveLength(2);
  expect(
    await world.sql(
      database.url,
      "SELECT channel, status, result FROM aiops_outbox ORDER BY channel, status",
    ),
  ).toEqual(
    ["runbooks", "slack"].flatMap((channel) =>
      ["firing", "resolved"].map((status) => ({ channel, status, result: "delivered" })),
    ),
  );
});

test("started without its database it alerts from memory; once there, the database gets the row, and nobody a second alert", async () => {
  const server = await startPrivatePostgres();
  cleanups.push(server.remove);
  await migrate(server.url, silentLog);
  await server.stop("fast");
  const world = await givenService(5);
  const service = await world.start({ AIOPS_DATABASE_URL: server.url });
  await world.minutes(8, service);
  await until(async () => Promise.resolve(world.posted.length === 1));

  await server.start();
  const rows = async (sql: string) => world.sql(server.url, sql);
  await until(async () => (await rows("SELECT FROM aiops_groups WHERE epoch = 1")).length === 1);
  await world.minutes(1, service);

  const written =
    "SELECT result FROM aiops_anomalies JOIN aiops_outbox ON anomaly_id = aiops_anomalies.id";
  expect(await rows(written)).toEqual([{ result: "delivered" }]);
  expect(await rows("SELECT FROM aiops_progress")).toHaveLength(1);
  expect(world.posted).toHaveLength(1);
});

test("an anomaly that was open before a restart without the database is known again when the database is back", async () => {
  const server = await startPrivatePostgres();
  cleanups.push(server.remove);
  await migrate(server.url, silentLog);
  const world = await givenService(5);
  world.rewrite((value, minute) => (minute >= 35 ? value - 60 : value));
  const first = await world.start({ AIOPS_DATABASE_URL: server.url });
  await world.minutes(25, first);
  await until(async () => Promise.resolve(world.posted.length === 1));
  await first.stop();
  await server.stop("fast");

  const second = await world.start({ AIOPS_DATABASE_URL: server.url });
  const isOpen = async () =>
    /^aiops_anomaly_current\{\S+ 1$/m.test(await text(second.url, "/metrics"));
  expect(await isOpen()).toBe(false);
  await server.start();
  await until(isOpen);
  await world.minutes(20, second);
  await until(async () => Promise.resolve(world.posted.length === 2));

  expect(world.posted.map(({ status }) => status)).toEqual(["firing", "resolved"]);
});

test("an alert that could not be sent before a restart is sent after it, by the address configured then", async () => {
  const database = await createTestDatabase();
  const slack = await startReceiver("slack");
  cleanups.push(database.drop, slack.stop);
  const world = await givenService(5);
  slack.faults.push({ status: 503 });
  const env = { AIOPS_DATABASE_URL: database.url, SLACK_WEBHOOK_URL: slack.url };
  const first = await world.start(env);
  await world.minutes(8, first);
  await until(async () => Promise.resolve(slack.faults.length === 0));
  await first.stop();
  expect(slack.taken).toEqual([]);

  await world.start(env);
  await until(async () => Promise.resolve(slack.taken.length > 0));

  expect(slack.taken).toHaveLength(1);
});

test("a chat that is down shows in the health, but does not make the detector unready", async () => {
  const slack = await startReceiver("slack");
  cleanups.push(slack.stop);
  slack.faults.push(...Array.from({ length: 100 }, () => ({ status: 503 })));
  const world = await givenService(5);
  const service = await world.start({ SLACK_WEBHOOK_URL: slack.url });
  await world.minutes(8, service);
  await until(async () => Promise.resolve(slack.faults.length < 100));

  const checks = async () =>
    ((await (await fetch(`${service.url}/health`)).json()) as { checks: Record<string, unknown> })
      .checks;
  await until(async () => JSON.stringify(await checks()).includes("503"));

  expect(await checks()).toMatchObject({ slack: { ok: false, detail: "Slack answered 503" } });
  expect((await fetch(`${service.url}/ready`)).status).toBe(200);
});
