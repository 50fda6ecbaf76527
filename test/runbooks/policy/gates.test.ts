import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../../lib/postgres.ts";
import { actionNames } from "../../../runbooks/actions/index.ts";
import { openFacts } from "../../../runbooks/facts.ts";
import { openGuard } from "../../../runbooks/guard.ts";
import { switchOff, switchOn } from "../../../runbooks/kill-switch.ts";
import { fixedPolicy } from "../../../runbooks/policy/document.ts";
import { parsePolicy } from "../../../runbooks/policy/parse.ts";
import type { PolicySource } from "../../../runbooks/types/policy.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../../servers/postgres.ts";
import { given, stateOf, waitingRun, type Given } from "../given.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

function policyWith(options: string): PolicySource {
  return fixedPolicy(
    parsePolicy(`latency_p99:level_shift=rollout_restart{${options}}`, actionNames),
  );
}

/** A run of an app in a namespace, decided. */
async function decided(setup: Given, namespace: string): Promise<string | undefined> {
  await setup.deliver([{ labels: { namespace } }]);
  for (const { id } of await setup.runs()) await setup.advance(id);
  return (await setup.runs()).at(-1)?.state;
}

test("when most of a namespace is sick nothing more is done there; elsewhere things go on", async () => {
  const census = { countWorkloads: async () => 5 };
  const states: (string | undefined)[] = [];
  for (const app of ["a", "b", "c"]) {
    const setup = given(database, `sick-${app}`);
    const { deps } = setup;
    const { policy } = deps;
    const switches = { ...deps.switches, unhealthy: { percent: 40, recentTargets: 1_000 } };
    const guard = openGuard({ database, limits: switches.limits, view: undefined });
    const facts = openFacts({ database, policy, guard, switches, census });
    states.push(await decided(given(database, `sick-${app}`, { facts }), "crowded"));
  }
  const elsewhere = await decided(given(database, "well"), "quiet");

  expect(states).toEqual(["approval_pending", "approval_pending", "skipped_max_unhealthy"]);
  expect(elsewhere).toBe("approval_pending");
});

test("a sender may not speak for a namespace that is not its own, and nothing outside of the list is touched", async () => {
  const setup = given(database, "scoped");
  const { policy, switches } = setup.deps;
  const guard = openGuard({ database, limits: switches.limits, view: undefined });
  const base = { database, policy, guard, switches };
  const foreign = openFacts({ ...base, sourceNamespacesOf: () => ["pay"] });
  const outside = openFacts({ ...base, namespaces: ["pay"] });

  expect(await decided(given(database, "foreign", { facts: foreign }), "shop")).toBe(
    "skipped_not_allowed",
  );
  expect(await decided(given(database, "outside", { facts: outside }), "shop")).toBe(
    "skipped_not_allowed",
  );
});

test.each<[string, PolicySource, string]>([
  [
    "the rule's argument",
    fixedPolicy(parsePolicy("latency_p99=scale_up:+1", actionNames)),
    "it says latency_p99=scale_up:+1",
  ],
  ["the rule's mode, to shadow", policyWith("mode=shadow"), "mode=shadow"],
  [
    "the rule's window, to none that is open",
    policyWith("window=mon 00:00-00:01 Pacific/Kiritimati"),
    "is over",
  ],
  [
    "the whole policy, which is disabled now",
    fixedPolicy({
      ...parsePolicy("latency_p99:level_shift=rollout_restart", actionNames),
      disabled: "release",
    }),
    "the policy is disabled: release",
  ],
])("between the answer and the action a change of %s counts", async (what, policy, why) => {
  const setup = given(database, what.replaceAll(/\W+/g, "-"));
  const id = await waitingRun(setup);
  await setup.answer(id, "approved");
  await setup.advance(id, { policy });

  const [run] = await setup.runs();
  expect(run?.state).toBe("skipped_no_approval");
  expect(run?.outcome).toContain(why);
  expect(setup.cluster.effects).toEqual([]);
});

test("a stop by a person holds until it is taken back, and both are in the record", async () => {
  const by = { scope: "shop/stopped", by: "ana", reason: "release" };
  await switchOff({ ...by, seconds: 3_600 }, database);
  const setup = given(database, "stopped");
  await waitingRun(setup);
  expect(await stateOf(setup)).toBe("skipped_disabled");

  expect(await switchOn({ ...by, by: "eva", reason: "done" }, database)).toBe(true);
  expect(await switchOn({ ...by, by: "eva", reason: "done" }, database)).toBe(false);

  const { rows } = await database.query(
    "SELECT event, actor, namespace, app, detail->>'reason' AS reason FROM runbooks_audit WHERE event IN ('disabled', 'enabled') ORDER BY id",
  );
  expect(rows).toEqual([
    { event: "disabled", actor: "ana", namespace: "shop", app: "stopped", reason: "release" },
    { event: "enabled", actor: "eva", namespace: "shop", app: "stopped", reason: "done" },
  ]);
});
