import { execFile } from "node:child_process";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { startReceiver, type OpenReceiver } from "./given-receiver.ts";
import { startPrivatePostgres, type PrivatePostgres } from "../servers/postgres.ts";

let receiver: OpenReceiver;
let primary: PrivatePostgres;
let standby: PrivatePostgres;

beforeAll(async () => {
  [receiver, primary, standby] = await Promise.all([
    startReceiver(),
    startPrivatePostgres(),
    startPrivatePostgres(),
  ]);
}, 60_000);
afterEach(() => {
  receiver.taken.length = 0;
});
afterAll(async () => {
  await receiver.stop();
  await Promise.all([primary.remove(), standby.remove()]);
});

test("make notify tells each channel that is set, and no text of it rings for everybody", async () => {
  const { code } = await make("notify", {
    NOTIFY_TEXT: "the drill failed @everyone",
    NOTIFY_SEVERITY: "critical",
    SLACK_WEBHOOK_URL: `${receiver.url}/slack`,
    DISCORD_WEBHOOK_URL: `${receiver.url}/discord`,
    PAGERDUTY_ROUTING_KEY: "0123456789abcdef0123456789abcdef",
    PAGERDUTY_EVENTS_URL: `${receiver.url}/pagerduty`,
  });

  expect(code).toBe(0);
  const bodies = Object.fromEntries(receiver.taken.map(({ path, body }) => [path, body]));
  expect(bodies["/slack"]).toEqual({ text: "critical: the drill failed @everyone" });
  expect(bodies["/discord"]).toMatchObject({ allowed_mentions: { parse: [] } });
  expect(bodies["/pagerduty"]).toMatchObject({
    event_action: "trigger",
    payload: { severity: "critical", summary: "the drill failed @everyone" },
  });
});

test("make notify fails when a channel refuses, when none is set and when there is nothing to say, and tells no address", async () => {
  const refused = await make("notify", {
    NOTIFY_TEXT: "x",
    SLACK_WEBHOOK_URL: `${receiver.url}/refuse/s3cret`,
  });
  const nobody = await make("notify", { NOTIFY_TEXT: "x" });
  const nothing = await make("notify", { SLACK_WEBHOOK_URL: receiver.url });

  expect([refused.code, nobody.code, nothing.code]).toEqual([2, 2, 2]);
  expect(refused.stderr).toContain("slack answered 403");
  expect(refused.stderr).not.toContain("s3cret");
  expect(nobody.stderr).toContain("no channel is set");
  expect(nothing.stderr).toContain("NOTIFY_TEXT: must say something");
});

test("make failover refuses while the primary takes writes, and refuses what is no standby", async () => {
  const twoPrimaries = await make("failover", urls());
  const noStandby = await make("failover", { ...urls(), FAILOVER_FORCE: "yes" });

  expect([twoPrimaries.code, noStandby.code]).toEqual([2, 2]);
  expect(twoPrimaries.stderr).toContain("the primary still takes writes");
  expect(noStandby.stderr).toContain("is no standby");
});

test("make failover promotes a real standby once the primary is gone", async () => {
  await standby.stop("fast");
  await appendFile(join(await standbyFolder(), "standby.signal"), "");
  await standby.start();
  expect(await isStandby()).toBe(true);
  await primary.stop("immediate");

  const { code, stdout, stderr } = await make("failover", urls());

  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain("promoted");
  expect(await isStandby()).toBe(false);
  await primary.start();
}, 60_000);

/** Learnt before it was stopped: only the server knows where its data are. */
let dataFolder: string | undefined;

async function standbyFolder(): Promise<string> {
  if (dataFolder === undefined) throw new Error("the standby was never asked where its data are");
  return dataFolder;
}

beforeAll(async () => {
  dataFolder = await ask<string>("SELECT current_setting('data_directory') AS value");
});

async function isStandby(): Promise<boolean> {
  return ask<boolean>("SELECT pg_is_in_recovery() AS value");
}

async function ask<T>(sql: string): Promise<T> {
  const client = new pg.Client({ connectionString: standby.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ value: T }>(sql);
    if (rows[0] === undefined) throw new Error("no answer");
    return rows[0].value;
  } finally {
    await client.end();
  }
}

function urls() {
  return { AIOPS_DATABASE_URL: primary.url, FAILOVER_DATABASE_URL: standby.url };
}

async function make(target: string, change: Readonly<Record<string, string>>) {
  const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], ...change };
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = execFile("make", ["--silent", target], { env }, (_, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}
