import { afterAll, afterEach, beforeAll, beforeEach } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { Secret } from "../../lib/secret.ts";
import { connectSlack } from "../../runbooks/adapters/channels/slack.ts";
import type { Channel } from "../../runbooks/types/notice.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { recordingLog, type RecordingLog } from "../fakes/recording-log.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";
import type { SlackMessage } from "../fakes/slack-methods.ts";
import { givenNotices, LINKS, type GivenNotices } from "../notify/given-notices.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

/** What every test of Slack's messages has: a database, a Slack, and dispatchers that are stopped again. */
export interface SlackTest {
  readonly database: Database;
  readonly slack: FakeSlack;
  readonly setup: GivenNotices;
  readonly log: RecordingLog;
  channel(): Channel;
  /** Starts a dispatcher; by itself for Slack alone. */
  tell(channels?: readonly Channel[], fallbacks?: Parameters<GivenNotices["tell"]>[1]): void;
  /** Everything is delivered, or given up. */
  told(): Promise<void>;
  until(what: string, look: () => boolean): Promise<void>;
  /** Those that are no line of a thread. */
  main(): readonly SlackMessage[];
  lines(): readonly string[];
}

/** Registers what comes before and after each test of a file. Its parts are there while a test runs. */
export function slackTest(): SlackTest {
  let testDatabase: TestDatabase | undefined;
  let stops: (() => Promise<void>)[] = [];
  const parts: { database?: Database; slack?: FakeSlack; setup?: GivenNotices; log: RecordingLog } =
    { log: recordingLog() };
  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    parts.database = openTestDatabase(testDatabase.url);
  });
  beforeEach(async () => {
    parts.slack = await startSlack();
    parts.log = recordingLog();
    parts.setup = givenNotices(now(parts.database), parts.log);
    for (const table of ["outbox", "messages", "channels", "notices"])
      await now(parts.database).query(`DELETE FROM runbooks_${table}`);
    await now(parts.database).query(
      "UPDATE runs SET state = 'cancelled', finished_at = now() WHERE finished_at IS NULL",
    );
  });
  afterEach(async () => {
    await Promise.all(stops.map(async (stop) => stop()));
    stops = [];
    await parts.slack?.stop();
  });
  afterAll(async () => {
    await parts.database?.close();
    await testDatabase?.drop();
  });
  const world: SlackTest = {
    get database() {
      return now(parts.database);
    },
    get slack() {
      return now(parts.slack);
    },
    get setup() {
      return now(parts.setup);
    },
    get log() {
      return parts.log;
    },
    channel: () =>
      connectSlack({
        apiUrl: world.slack.apiUrl,
        token: new Secret(world.slack.token),
        channel: "C0FETTLE",
        links: LINKS,
        internalHosts: ["127.0.0.1"],
        buttonValue: ({ id, planHash }, verdict) => `v1.${id}.${planHash.slice(0, 8)}.${verdict}`,
        timeoutMs: 5_000,
      }),
    tell: (channels = [world.channel()], fallbacks = []) => {
      stops.push(world.setup.tell(channels, fallbacks));
    },
    told: async () =>
      waitUntil("everything to be told", async () => (await world.setup.waiting()) === 0),
    until: async (what, look) => waitUntil(what, async () => look()),
    main: () => world.slack.messages.filter(({ thread_ts: thread }) => thread === undefined),
    lines: () =>
      world.slack.messages
        .filter(({ thread_ts: thread }) => thread !== undefined)
        .map(({ text }) => text),
  };
  return world;
}

function now<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("only while a test runs");
  return part;
}
