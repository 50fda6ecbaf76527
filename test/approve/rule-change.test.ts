import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { actionNames } from "../../runbooks/actions/index.ts";
import { fixedPolicy } from "../../runbooks/policy/document.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import { given, waitingRun } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

let testDatabase: TestDatabase;
let database: Database;
let apps = 0;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

function policyWith(options: string) {
  return fixedPolicy(parsePolicy(`latency_p99:level_shift=rollout_restart${options}`, actionNames));
}

test.each([
  [
    "names the person no more",
    "{approvers=ana+ivan}",
    "{approvers=ivan}",
    "ana may not approve any more",
  ],
  ["names its own people now", "", "{approvers=ivan}", "ana may not approve any more"],
  ["asks two people now", "", "{quorum=2}", "the policy's rule asks 2 people now, and 1 said yes"],
])(
  "an approval does not count when the rule %s, between the click and the action",
  async (_how, before, after, why) => {
    const setup = given(database, `rule-${++apps}`, { policy: policyWith(before) });
    const id = await waitingRun(setup);
    await setup.answer(id, "approved", "ana");

    await setup.advance(id, { policy: policyWith(after) });

    expect(await setup.runs()).toMatchObject([{ state: "skipped_no_approval", outcome: why }]);
    expect(setup.cluster.effects).toEqual([]);
  },
);

test.each([
  ["more people may", "{approvers=ana}", "{approvers=ana+ivan}"],
  ["RUNBOOK_APPROVERS hold again", "{approvers=ana}", ""],
])("it counts when the rule still names the person: %s", async (_how, before, after) => {
  const setup = given(database, `rule-${++apps}`, { policy: policyWith(before) });
  const id = await waitingRun(setup);
  await setup.answer(id, "approved", "ana");

  await setup.advance(id, { policy: policyWith(after) });

  expect(await setup.runs()).toMatchObject([{ state: "verifying" }]);
});
