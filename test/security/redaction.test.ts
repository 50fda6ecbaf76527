import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { createRedactor } from "../../lib/redact.ts";
import { diagnosticsRedactor } from "../../runbooks/collect/redact.ts";
import { Secret } from "../../lib/secret.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { startSlack, type FakeSlack } from "../fakes/slack.ts";
import { givenCollector, type GivenCollector } from "../collector/given-collector.ts";

/** Each is recognised in another way. */
const CANARIES = {
  /** By the variable's name, and then wherever it stands. */
  env: "canary-env-4f1d0a",
  /** By its looks. */
  plainEnv: "canary8plain8env8value8kq3z",
  /** Inside an address. */
  url: "canary-url-password",
  argument: "canary-argument-77",
  /** By what stands before it. */
  logged: "canary-logged-password-1",
  json: "canary-json-secret-22",
  bearer: "canary-bearer-333333",
  cookie: "canary-cookie-4444",
  annotation: "canary-annotation-55",
  slackToken: "xoxb-canary-0123456789",
  jwt: "eyJjYW5hcnkiOjF9.eyJjYW5hcnkiOjJ9.c2lnbmF0dXJl",
  privateKey: "Y2FuYXJ5cHJpdmF0ZWtleWxpbmU",
  /** By our own configuration. */
  configured: "canary-configured-token-6",
} as const;

let slack: FakeSlack;
let given: GivenCollector;

beforeAll(async () => {
  slack = await startSlack();
  given = await givenCollector({
    env: (folder) => ({
      COLLECTOR_DIR: join(folder, "store"),
      PROM_URL: "http://127.0.0.1:9",
      PROM_TOKEN: CANARIES.configured,
      SLACK_BOT_TOKEN: slack.token,
      SLACK_CHANNEL: "C0FETTLE",
      SLACK_API_URL: slack.apiUrl,
      RUNBOOKS_INTERNAL_HOSTS: "127.0.0.1",
    }),
    collect: "[objects, events, logs, rollout_history, prometheus]",
    container: {
      env: [
        { name: "DB_PASSWORD", value: CANARIES.env },
        { name: "LICENCE", value: CANARIES.plainEnv },
        { name: "DATABASE_URL", value: `postgres://shop:${CANARIES.url}@db/shop` },
        { name: "LOG_LEVEL", value: "info" },
      ],
      args: ["--verbose", "--api-token", CANARIES.argument],
    },
  });
});
afterAll(async () => {
  await given.stop();
  await slack.stop();
});

function leaking(pod: string): string {
  return [
    `connecting to ${pod} with ${CANARIES.env} and ${CANARIES.plainEnv}`,
    `pool: user shop password ${CANARIES.url} refused, started with ${CANARIES.argument}`,
    `DB_PASS=x password=${CANARIES.logged}`,
    `{"level":"info","client_secret":"${CANARIES.json}"}`,
    `"{\\"client_secret\\":\\"${CANARIES.json}\\"}"`,
    `Authorization: Bearer ${CANARIES.bearer}`,
    `Set-Cookie: session=${CANARIES.cookie}; HttpOnly`,
    `slack ${CANARIES.slackToken} jwt ${CANARIES.jwt}`,
    "-----BEGIN RSA PRIVATE KEY-----",
    CANARIES.privateKey,
    "-----END RSA PRIVATE KEY-----",
    `prometheus ${CANARIES.configured}`,
    "the last line",
  ].join("\n");
}

async function textsIn(folder: string): Promise<string> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const texts = await Promise.all(
    found
      .filter((entry) => entry.isFile())
      .map(async ({ parentPath, name }) => {
        const content = await readFile(join(parentPath, name));
        return (name.endsWith(".gz") ? gunzipSync(content) : content).toString("utf8");
      }),
  );
  return texts.join("\n");
}

/** Every column of every table; bytes as their digits. */
async function everythingStored(): Promise<string> {
  const { rows: tables } = await given.database.query<{ name: string }>(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
      WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`,
  );
  const texts: string[] = [];
  for (const { name } of tables) {
    const { rows } = await given.database.query<{ text: string }>(
      `SELECT t::text AS text FROM ${name} t`,
    );
    texts.push(...rows.map(({ text }) => text));
  }
  return texts.join("\n");
}

test("no secret of the target, its logs or our configuration gets out anywhere", async () => {
  const { kubernetes, folder, log } = given;
  const pods = kubernetes.podNames("shop").filter((name) => name.startsWith("checkout-"));
  for (const pod of pods) {
    kubernetes.setPodLog("shop", pod, leaking(pod));
    kubernetes.crashPod("shop", pod, 1);
    kubernetes.setPodLog("shop", pod, leaking(pod), { previous: true });
  }
  kubernetes.put("events", {
    metadata: { namespace: "shop", name: "leak", annotations: { token: CANARIES.annotation } },
    involvedObject: { kind: "Deployment", namespace: "shop", name: "checkout" },
    type: "Warning",
    reason: "Failed",
    message: `cannot start with --api-token ${CANARIES.argument}: password=${CANARIES.logged}`,
  });
  kubernetes.put("horizontalpodautoscalers", {
    metadata: {
      namespace: "shop",
      name: "checkout",
      labels: { "session-token": CANARIES.annotation, team: CANARIES.env },
    },
    spec: { scaleTargetRef: { kind: "Deployment", name: "checkout" }, maxReplicas: 3 },
  });

  const runId = await given.alert();
  await given.waitForState(runId, "approval_pending");
  await given.waitForCollection(runId, "stored");
  await waitUntil("Slack to be told", async () => slack.messages.length > 0);

  const artefacts = await textsIn(join(folder, "store"));
  const service = createRedactor([]); // what the log's own redactor takes out is not counted here
  const places = {
    artefacts,
    log: service(log.text()),
    slack: JSON.stringify(slack.requests.map(({ body }) => body)),
    database: await everythingStored(),
  };
  const leaks = Object.entries(places).flatMap(([place, text]) =>
    Object.entries(CANARIES)
      .filter(
        ([, canary]) => text.includes(canary) || text.includes(Buffer.from(canary).toString("hex")),
      )
      .map(([name]) => `${place} holds ${name}`),
  );

  expect(leaks).toEqual([]);
  // It was taken out, not left out.
  expect(artefacts).toContain("name: DB_PASSWORD");
  expect(artefacts).toContain("the last line");
  expect(artefacts).toContain("--verbose");
  expect(artefacts.match(/\[redacted\]/g)?.length).toBeGreaterThan(20);
});

const redactor = diagnosticsRedactor([new Secret("a-known-secret")], []);

test.each([
  ["PGPASSWORD='very secret' psql", "PGPASSWORD='[redacted]' psql"],
  ["password: hunter2hunter2, user: ana", "password: [redacted], user: ana"],
  ['{"apiKey":"abc123","n":1}', '{"apiKey":"[redacted]","n":1}'],
  ['"{\\"secret\\":\\"abc\\"}"', '"{\\"secret\\":\\"[redacted]\\"}"'],
  ["DB_PASS=hunter2 and 3 tests passed: 5", "DB_PASS=[redacted] and 3 tests passed: 5"],
  ["run --token abc --verbose", "run --token [redacted] --verbose"],
  ["GET /x?token=abc123&y=1", "GET /x?token=[redacted]&y=1"],
  ["cookie: a=b; c=d", "cookie: [redacted]"],
  ["it says a-known-secret here", "it says [redacted] here"],
  ["ghp_0123456789abcdefghij0123", "[redacted]"],
  ["the tokens were counted: 5", "the tokens were counted: 5"],
  ["GET /health 200 3ms", "GET /health 200 3ms"],
])("a line of a log: %s", (line, expected) => {
  expect(redactor.text(line)).toBe(expected);
});

test("of an object the values go and the names stay", () => {
  const cleaned = redactor.object({
    metadata: {
      managedFields: [{ any: 1 }],
      annotations: {
        "kubectl.kubernetes.io/last-applied-configuration": '{"env":"secret"}',
        "vault-token": "abc",
        note: "fine",
      },
    },
    spec: {
      containers: [
        {
          name: "app",
          env: [
            { name: "A", value: "1" },
            { name: "B", valueFrom: { secretKeyRef: { name: "s", key: "k" } } },
          ],
          args: ["--password", "p4ss", "--port", "80", "--secret=x"],
        },
      ],
      volumes: [{ name: "v", secret: { secretName: "web-tls" } }],
    },
  });

  expect(cleaned).toEqual({
    metadata: { annotations: { "vault-token": "[redacted]", note: "fine" } },
    spec: {
      containers: [
        {
          name: "app",
          env: [
            { name: "A", value: "[redacted]" },
            { name: "B", valueFrom: { secretKeyRef: { name: "s", key: "k" } } },
          ],
          args: ["--password", "[redacted]", "--port", "80", "--secret=[redacted]"],
        },
      ],
      volumes: [{ name: "v", secret: { secretName: "web-tls" } }],
    },
  });
});

test("a megabyte that was made to be slow is not, and others get their turn meanwhile", async () => {
  const evil = [
    "a://b:".repeat(170_000),
    "token:".repeat(170_000),
    "-----BEGIN RSA PRIVATE KEY-----\n".repeat(20_000),
    `${"password='".repeat(400)}\n`.repeat(250),
  ];
  let turns = 0;
  const ticking = setInterval(() => {
    turns += 1;
  }, 5);
  const startedAt = performance.now();

  for (const text of evil) await redactor.log(text);

  clearInterval(ticking);
  expect(performance.now() - startedAt).toBeLessThan(60_000);
  expect(turns).toBeGreaterThan(0);
});
