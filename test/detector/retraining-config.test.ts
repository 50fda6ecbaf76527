import { inspect } from "node:util";
import { expect, test } from "@jest/globals";
import { readDetectorConfig } from "../../detector/config.ts";
import { ConfigError } from "../../lib/config.ts";

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readDetectorConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test("retraining is nightly, in UTC, on two weeks", () => {
  expect(readDetectorConfig({})).toMatchObject({
    retrainCron: "17 3 * * *",
    retrainTimeZone: "UTC",
    retrainDays: 14,
  });
});

test.each<Record<string, string>>([
  { AIOPS_RETRAIN_CRON: "off" },
  { AIOPS_RETRAIN_CRON: "*/5 * * * * *", AIOPS_RETRAIN_TZ: "Europe/Berlin" },
  { AIOPS_RETRAIN_CRON: "0 4 * * sun", AIOPS_RETRAIN_DAYS: "30", AIOPS_RETRAIN_MEMORY_MB: "2048" },
])("%j is understood", (env) => {
  expect(problemsOf(env)).toEqual([]);
});

test.each<[Record<string, string>, string]>([
  [
    { AIOPS_RETRAIN_CRON: "nightly" },
    'AIOPS_RETRAIN_CRON: must be a cron expression such as "17 3 * * *", or off, got "nightly"',
  ],
  [
    { AIOPS_RETRAIN_CRON: "0 0 31 2 *" },
    'AIOPS_RETRAIN_CRON: must be a cron expression such as "17 3 * * *", or off, got "0 0 31 2 *"',
  ],
  [
    { AIOPS_RETRAIN_TZ: "Mars/Olympus" },
    'AIOPS_RETRAIN_TZ: must be a time zone such as UTC or Europe/Berlin, got "Mars/Olympus"',
  ],
  [{ AIOPS_RETRAIN_DAYS: "0" }, 'AIOPS_RETRAIN_DAYS: must be an integer from 1 to 365, got "0"'],
  [
    { AIOPS_RETRAIN_MEMORY_MB: "64" },
    'AIOPS_RETRAIN_MEMORY_MB: must be an integer from 256 to 65536, got "64"',
  ],
  [
    { AIOPS_INTERVAL_SECONDS: "1", AIOPS_RETRAIN_DAYS: "30" },
    "AIOPS_RETRAIN_DAYS: 30 days are 2592000 steps of 1 s, at most 2000000 can be read",
  ],
])("%j is refused by the name of the variable", (env, problem) => {
  expect(problemsOf(env)).toEqual([problem]);
});

test("a process that trains is told what it needs, and no secret besides", () => {
  const needed = {
    ...{ PROM_URL: "http://127.0.0.1:1", PROM_TOKEN: "token-of-prom", AIOPS_METRICS: "a=b" },
    ...{ AIOPS_DATABASE_URL_FILE: "package.json", AIOPS_SCORE_THRESH: "0.7", AIOPS_Z_THRESH: "4" },
    ...{ NODE_EXTRA_CA_CERTS: "/ca.pem", PGSSLMODE: "require" },
  };
  const others = {
    ...{ DETECTOR_API_TOKEN: "x".repeat(32), AIOPS_WEBHOOK_SECRET_FILE: "package.json" },
    ...{ SLACK_WEBHOOK_URL: "https://hooks.slack.com/services/x", AWS_SECRET_ACCESS_KEY: "s" },
    ...{ NODE_OPTIONS: "--inspect", PATH: "/bin" },
  };

  const config = readDetectorConfig({ ...needed, ...others });

  expect(config.trainingEnvironment()).toEqual(needed);
  expect(inspect(config)).not.toContain("token-of-prom");
});
