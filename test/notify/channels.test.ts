import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { Secret } from "../../lib/secret.ts";
import { connectDiscord } from "../../runbooks/adapters/channels/discord.ts";
import { connectGithub } from "../../runbooks/adapters/channels/github.ts";
import { connectPagerDuty } from "../../runbooks/adapters/channels/pagerduty.ts";
import { connectSmtp } from "../../runbooks/adapters/channels/smtp.ts";
import type { Channel } from "../../runbooks/types/notice.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startGithub } from "../fakes/github.ts";
import { startReceiver } from "../fakes/receivers.ts";
import { startMailServer } from "../fakes/smtp.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { givenNotices, LINKS, type GivenNotices } from "./given-notices.ts";

const COMMON = { links: LINKS, internalHosts: ["127.0.0.1"] };

let testDatabase: TestDatabase;
let database: Database;
let setup: GivenNotices;
let stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
beforeEach(async () => {
  setup = givenNotices(database);
  for (const table of ["outbox", "messages", "channels", "notices"])
    await database.query(`DELETE FROM runbooks_${table}`);
});
afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

function tell(channel: Channel): void {
  stops.push(setup.tell([channel]));
}

async function told(): Promise<void> {
  await waitUntil("all to be told", async () => (await setup.waiting()) === 0);
}

async function remediated(end: string): Promise<string> {
  const run = await setup.run({ app: "checkout" });
  await setup.ask(run);
  await told();
  await setup.move(run, "approved", { by: "ana" });
  await told();
  await setup.move(run, end, { outcome: "the alert resolved" });
  await told();
  return run;
}

test("PagerDuty gets one incident that is acknowledged by the approval and resolved when it helped", async () => {
  const pagerduty = await startReceiver("pagerduty");
  stops.push(pagerduty.stop);
  tell(connectPagerDuty({ ...COMMON, url: pagerduty.url, routingKey: new Secret("a".repeat(32)) }));

  await remediated("succeeded");

  const events = pagerduty.taken as readonly { event_action: string; dedup_key: string }[];
  expect(events.map(({ event_action: action }) => action)).toEqual([
    "trigger",
    "acknowledge",
    "resolve",
  ]);
  expect(new Set(events.map(({ dedup_key: key }) => key)).size).toBe(1);
  expect(JSON.stringify(events[0])).toContain("https://fettle.example.com/approvals/apr_");
});

test("PagerDuty's incident is triggered again when it did not help", async () => {
  const pagerduty = await startReceiver("pagerduty");
  stops.push(pagerduty.stop);
  tell(connectPagerDuty({ ...COMMON, url: pagerduty.url, routingKey: new Secret("a".repeat(32)) }));

  await remediated("failed");

  const events = pagerduty.taken as readonly { event_action: string }[];
  expect(events.map(({ event_action: action }) => action)).toEqual([
    "trigger",
    "acknowledge",
    "trigger",
  ]);
});

test("Discord's message is edited, and every request says that nobody is mentioned", async () => {
  const discord = await startReceiver("discord");
  stops.push(discord.stop);
  tell(connectDiscord({ ...COMMON, url: new Secret(discord.url) }));

  await remediated("succeeded");

  const bodies = discord.taken.map((body) => JSON.stringify(body));
  expect(bodies).toHaveLength(3);
  expect(bodies[0]).toContain("Approval needed");
  expect(bodies[2]).toContain("Helped");
  for (const body of bodies) expect(body).toContain('"allowed_mentions":{"parse":[]}');
  const { rows } = await database.query("SELECT remote_id FROM runbooks_messages");
  expect(rows).toEqual([{ remote_id: "1" }]);
});

test("mails ask with a link, tell the end, and give own links only to the approver whose name is the address", async () => {
  const mail = await startMailServer();
  stops.push(mail.stop);
  tell(
    connectSmtp({
      ...COMMON,
      url: new Secret(mail.url),
      from: "fettle@example.com",
      to: ["oncall@example.com", "ana@example.com"],
      personalLinks: async (run) => [
        {
          approver: "ana@example.com",
          approve: `https://fettle.example.com/approve?id=${run}&token=t`,
          reject: "https://fettle.example.com/reject?token=t",
        },
      ],
    }),
  );

  await remediated("succeeded");

  expect(mail.taken.map(({ to }) => to.join())).toEqual([
    "oncall@example.com",
    "ana@example.com",
    "oncall@example.com",
    "ana@example.com",
  ]);
  const [oncall, ana, end] = mail.taken.map(({ raw }) => raw);
  expect(oncall).toContain("Subject: [fettle] Approval needed: shop/checkout");
  expect(unfolded(oncall)).toContain("https://fettle.example.com/approvals/apr_");
  expect(oncall).not.toContain("token");
  expect(unfolded(ana)).toContain("/approve?id=");
  expect(oncall).not.toContain("text/html");
  expect(end).toContain("Helped");
});

/** Long lines are broken with `=` (quoted-printable). */
function unfolded(raw = ""): string {
  return raw.replaceAll("=\r\n", "").replaceAll("=3D", "=");
}

test("a mail is sent again when the server has no time, and not when it knows no such address", async () => {
  const mail = await startMailServer();
  stops.push(mail.stop);
  mail.faults.push(451);
  tell(
    connectSmtp({
      ...COMMON,
      url: new Secret(mail.url),
      from: "fettle@example.com",
      to: ["oncall@example.com"],
      personalLinks: async () => [],
    }),
  );
  await setup.ask(await setup.run());
  await told();
  expect(mail.taken).toHaveLength(1);

  mail.faults.push(550);
  await setup.ask(await setup.run());
  await told();
  expect(await setup.results()).toEqual({ delivered: 1, refused: 1 });
});

test("GitHub gets one issue for a run that needs a person, also when its answer was lost", async () => {
  const github = await startGithub();
  stops.push(github.stop);
  github.faults.push("late");
  tell(
    connectGithub({
      ...COMMON,
      url: github.url,
      token: new Secret(github.token),
      repository: "shop/ops",
      sends: "issue",
    }),
  );

  const run = await remediated("failed");

  expect(github.issues).toHaveLength(1);
  expect(github.issues[0]?.title).toBe("Did not help: shop/checkout");
  expect(github.issues[0]?.body).toContain(`<!-- fettle:${run} -->`);
});

test("GitHub's workflow is told of every end, in ten keys at most", async () => {
  const github = await startGithub();
  stops.push(github.stop);
  tell(
    connectGithub({
      ...COMMON,
      url: github.url,
      token: new Secret(github.token),
      repository: "shop/ops",
      sends: "dispatch",
    }),
  );

  const run = await remediated("succeeded");

  expect(github.calls).toMatchObject([
    { body: { event_type: "fettle_run", client_payload: { run, state: "succeeded" } } },
  ]);
});

test("keeps the order of a run's events while the channel fails", async () => {
  const pagerduty = await startReceiver("pagerduty");
  stops.push(pagerduty.stop);
  pagerduty.faults.push({ status: 503 }, { status: 503 });
  tell(connectPagerDuty({ ...COMMON, url: pagerduty.url, routingKey: new Secret("a".repeat(32)) }));
  const run = await setup.run();

  await setup.ask(run);
  await setup.move(run, "approved", { by: "ana" });
  await setup.move(run, "succeeded");
  await told();

  const events = pagerduty.taken as readonly { event_action: string }[];
  expect(events.map(({ event_action: action }) => action)).toEqual([
    "trigger",
    "acknowledge",
    "resolve",
  ]);
});
