import { expect, test } from "@jest/globals";
import { startReceiver } from "../fakes/receivers.ts";
import { createTestDatabase } from "../servers/postgres.ts";
import { cleanups, givenService, until } from "./given-service.ts";

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
