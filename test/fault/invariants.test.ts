import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { fakeCluster } from "../fakes/cluster.ts";
import { given, waitingRun, type Given } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { CANARIES } from "./canaries.ts";
import { brokenInvariants, type QuietWorld } from "./invariants.ts";

let testDatabase: TestDatabase;
let database: Database;
let setup: Given;
beforeEach(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  setup = given(database, "web", { cluster: fakeCluster(), verifyHoldSeconds: 0 });
});
afterEach(async () => {
  await database.close();
  await testDatabase.drop();
});

/** One remediation from its alert to its end, as it should be. */
async function remediated(): Promise<string> {
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  await setup.advance(id);
  await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:10:00Z" }]);
  await setup.advance(id);
  return id;
}

async function broken(more: Partial<QuietWorld> = {}): Promise<readonly string[]> {
  return brokenInvariants({
    database,
    kubernetes: { mutations: () => [patch("web")] },
    output: () => "",
    approvers: ["ana", "ivan"],
    limits: { hourly: 3, daily: 10 },
    patienceMs: 0,
    ...more,
  });
}

type Mutation = ReturnType<NonNullable<QuietWorld["kubernetes"]>["mutations"]>[number];

function patch(name: string, change: Partial<Mutation> = {}): Mutation {
  return {
    at: new Date().toISOString(),
    method: "PATCH",
    path: `/apis/apps/v1/namespaces/shop/deployments/${name}`,
    query: {},
    body: { metadata: { annotations: {} } },
    dryRun: false,
    effective: true,
    status: 200,
    ...change,
  };
}

function eviction(uid: string): Mutation {
  const path = `/api/v1/namespaces/shop/pods/${uid}/eviction`;
  return patch("", { method: "POST", path, body: { deleteOptions: { preconditions: { uid } } } });
}

test("a remediation as it should be breaks nothing", async () => {
  await remediated();

  expect(await setup.runs()).toMatchObject([{ state: "succeeded" }]);
  expect(await broken()).toEqual([]);
});

/** What somebody may have done to the rows, and the sentence that tells of it. */
test.each<[string, string, RegExp]>([
  ["a delivery was not looked at", "UPDATE inbox SET processed_at = NULL", /is not processed/],
  ["a delivery failed", "UPDATE inbox SET error = 'no'", /is not processed \(no\)/],
  ["an alert vanished", "DELETE FROM episodes", /alert web-1 of delivery \d+ is lost/],
  [
    "two runs were at one target",
    `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, finished_at)
     SELECT 'run_other', target_key, runbook, 'failed', namespace, app, trigger, deadline_at, now() FROM runs;
     UPDATE runs SET created_at = now() - interval '1 hour', finished_at = now() + interval '1 hour' WHERE id <> 'run_other'`,
    /were at the same target at a time/,
  ],
  [
    "a run is past its deadline",
    "UPDATE runs SET finished_at = NULL, deadline_at = now() - interval '1 minute', look_at = now()",
    /is succeeded after its deadline/,
  ],
  [
    "nobody looks at a run",
    "UPDATE runs SET finished_at = NULL, state = 'verifying', look_at = NULL",
    /is verifying and nobody looks at it/,
  ],
  [
    "a slot was given back",
    "DELETE FROM breaker_slots WHERE app_key LIKE 'app:%'",
    /has 1 slots instead of 2/,
  ],
  ["no slot was taken", "DELETE FROM breaker_slots", /executed without a slot/],
  [
    "the approval came from a stranger",
    "UPDATE approvals SET decided_by = 'mallory'",
    /executed without a valid approval/,
  ],
  ["nobody voted", "DELETE FROM approval_votes", /executed without a valid approval/],
  ["one vote is missing", "UPDATE approvals SET quorum = 2", /executed without a valid approval/],
  [
    "the approval had expired",
    "UPDATE approvals SET expires_at = now() - interval '1 hour'",
    /executed without a valid approval/,
  ],
  [
    "the plan was another one",
    "UPDATE approvals SET plan_hash = 'other'",
    /executed without a valid approval/,
  ],
  [
    "who asked for the run approved it",
    "UPDATE runs SET requested_by = 'ana'",
    /executed without a valid approval/,
  ],
  ["the state has no row", "UPDATE runs SET state = 'failed'", /is failed, and its record is not/],
  [
    "a step was written twice",
    `INSERT INTO runbooks_audit (run_id, event, actor) SELECT run_id, event, actor FROM runbooks_audit WHERE event = 'executed'`,
    /repeats itself or is out of order/,
  ],
  [
    "the record was edited",
    `ALTER TABLE runbooks_audit DISABLE TRIGGER USER; UPDATE runbooks_audit SET actor = 'nobody' WHERE event = 'approved'`,
    /the record was changed/,
  ],
  [
    "a secret stands in a column of text",
    `UPDATE runs SET outcome = 'it was ${CANARIES.token}'`,
    /the table public\.runs holds canary-webhook-token/,
  ],
  [
    "a secret stands in bytes",
    `UPDATE inbox SET raw = convert_to('${CANARIES.approvalSecret}', 'UTF8')`,
    /the table public\.inbox holds [0-9a-f]+/,
  ],
])("it is told when %s", async (_what, sql, sentence) => {
  await remediated();

  for (const statement of sql.split(";")) await database.query(statement);

  expect((await broken()).join("\n")).toMatch(sentence);
});

test.each<[string, Partial<QuietWorld>, RegExp]>([
  ["more slots than the limit", { limits: { hourly: 0, daily: 10 } }, /used 1 slots an hour/],
  [
    "two changes by one run",
    { kubernetes: { mutations: () => [patch("web"), patch("web")] } },
    /2 changes of .*\/web by 1 runs with a slot/,
  ],
  [
    "a change of what no run was about",
    { kubernetes: { mutations: () => [patch("other")] } },
    /1 changes of .*\/other by 0 runs/,
  ],
  [
    "two changes that name one run",
    {
      kubernetes: {
        mutations: () =>
          ["web", "other"].map((name) =>
            patch(name, { body: { metadata: { annotations: { "fettle.dev/run-id": "run_1" } } } }),
          ),
      },
    },
    /run_1 changed the cluster twice/,
  ],
  [
    "a deletion",
    { kubernetes: { mutations: () => [patch("web", { method: "DELETE" })] } },
    /nobody may DELETE/,
  ],
  [
    "an eviction that nobody planned, twice",
    { kubernetes: { mutations: () => [eviction("u1"), eviction("u1")] } },
    /pod u1 evicted twice\nnobody planned to evict pod u1/,
  ],
  ["a secret in the log", { output: () => CANARIES.clusterToken }, /the log holds canary-cluster/],
  [
    "a secret in Slack",
    {
      slack: {
        requests: [
          {
            method: "chat.postMessage",
            body: { text: CANARIES.databasePassword },
            token: undefined,
            at: 0,
          },
        ],
      },
    },
    /Slack holds canary-database-password/,
  ],
  [
    "a secret in an artefact",
    { artefacts: async () => [CANARIES.token] },
    /an artefact holds canary-webhook-token/,
  ],
])("it is told of %s", async (_what, more, sentence) => {
  await remediated();

  expect((await broken(more)).join("\n")).toMatch(sentence);
});
