import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { actionNames } from "../../runbooks/actions/index.ts";
import { answerApproval, findApproval } from "../../runbooks/approval/answer.ts";
import { askAgain } from "../../runbooks/approval/ask-again.ts";
import { openApprovals } from "../../runbooks/approval/request.ts";
import { findRun } from "../../runbooks/ledger.ts";
import { fixedPolicy } from "../../runbooks/policy/document.ts";
import { parsePolicy } from "../../runbooks/policy/parse.ts";
import type { UserGroups } from "../../runbooks/types/approval.ts";
import type { PlanEffect } from "../../runbooks/types/plan.ts";
import { given, stateOf, waitingRun, type Given } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

/** Two people with two accounts each, one person of Slack only. */
const APPROVERS = ["ana=U0ANA", "ivan=U0IVAN", "U0EVA"];

let testDatabase: TestDatabase;
let database: Database;
let apps = 0;
const nextApp = () => `approve-${++apps}`;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

interface Question {
  readonly setup: Given;
  readonly runId: string;
  readonly answer: (by: string, verdict?: "approved" | "rejected") => Promise<unknown>;
}

/** A run that waits for its answer under a policy line with these options. */
async function asked(options: string, groups?: UserGroups): Promise<Question> {
  const text = `latency_p99:level_shift=rollout_restart${options}`;
  const approvals = openApprovals({ database, approvers: APPROVERS, groups });
  const setup = given(database, nextApp(), {
    policy: fixedPolicy(parsePolicy(text, actionNames)),
    approvals,
  });
  const runId = await waitingRun(setup);
  const approvalId = (await findApproval(runId, database))?.id ?? "";
  return {
    setup,
    runId,
    answer: async (by, verdict = "approved") =>
      answerApproval({ approvalId, verdict, by, via: "cli", reason: undefined }, APPROVERS, {
        database,
        enqueue: setup.deps.enqueue,
        groups,
      }),
  };
}

describe("where two people must say yes", () => {
  test("the first is counted, the second decides, and both are on record", async () => {
    const { setup, runId, answer } = await asked("{quorum=2}");

    expect(await answer("ana")).toEqual({ kind: "counted", runId, have: 1, need: 2 });
    expect(await stateOf(setup)).toBe("approval_pending");
    expect(await answer("U0IVAN")).toEqual({ kind: "decided", runId });

    expect(await stateOf(setup)).toBe("approved");
    expect((await setup.events(runId)).slice(-2)).toEqual(["vote", "approved"]);
    const { rows } = await database.query(
      "SELECT actor, detail->'people' AS people FROM runbooks_audit WHERE run_id = $1 AND event = 'approved'",
      [runId],
    );
    expect(rows).toEqual([{ actor: "ivan", people: ["ana", "ivan"] }]);
  });

  test("one person with two accounts, or two clicks, is one", async () => {
    const { setup, runId, answer } = await asked("{quorum=2}");

    for (const account of ["ana", "U0ANA", "ana"])
      expect(await answer(account)).toEqual({ kind: "counted", runId, have: 1, need: 2 });

    expect(await stateOf(setup)).toBe("approval_pending");
    expect((await setup.events(runId)).filter((event) => event === "vote")).toHaveLength(1);
  });

  test("a single no rejects, also from somebody who had said yes", async () => {
    const { setup, answer } = await asked("{quorum=2}");
    await answer("ana");

    expect(await answer("ana", "rejected")).toMatchObject({ kind: "decided" });
    expect(await setup.runs()).toMatchObject([{ state: "rejected", outcome: "rejected by ana" }]);
  });

  test("32 clicks of the two at the same moment decide once", async () => {
    const { setup, runId, answer } = await asked("{quorum=2}");

    const outcomes = await Promise.all(
      Array.from({ length: 32 }, async (_, at) => answer(at % 2 === 0 ? "ana" : "ivan")),
    );

    expect(outcomes.filter((one) => (one as { kind: string }).kind === "decided")).toHaveLength(1);
    expect((await setup.events(runId)).filter((event) => event === "approved")).toHaveLength(1);
  });

  test("it stays two when one of them loses the right before the action", async () => {
    const { setup, runId, answer } = await asked("{quorum=2}");
    await answer("ana");
    await answer("ivan");
    const approvals = openApprovals({ database, approvers: ["ana=U0ANA", "U0EVA"] });

    await setup.advance(runId, { approvals });

    expect(await setup.runs()).toMatchObject([
      { state: "skipped_no_approval", outcome: "ivan may not approve any more" },
    ]);
    expect(setup.cluster.effects).toEqual([]);
  });
});

describe("whoever the policy does not wait for", () => {
  test.each([
    ["a stranger", "{quorum=1}", "mallory", "not in the list of approvers"],
    ["somebody of the general list", "{approvers=ivan}", "ana", "not in the list of approvers"],
    ["a name that is no account", "{approvers=U0EVA}", "eva", "not in the list of approvers"],
    ["a group without Slack", "{approvers=@S0CALL}", "U0EVA", "cannot be known"],
  ])("%s is refused, on record", async (_name, options, by, why) => {
    const { setup, runId, answer } = await asked(options);

    expect(await answer(by)).toEqual({ kind: "not_allowed", why: expect.stringContaining(why) });
    expect(await stateOf(setup)).toBe("approval_pending");
    expect((await setup.events(runId)).at(-1)).toBe("approval_denied");
  });

  test("who asked for the run by hand cannot answer it, under no account", async () => {
    const { setup, runId, answer } = await asked("{quorum=1}");
    await database.query("UPDATE runs SET requested_by = 'U0ANA' WHERE id = $1", [runId]);

    for (const account of ["ana", "U0ANA"])
      expect(await answer(account)).toMatchObject({
        kind: "not_allowed",
        why: expect.stringContaining("who asked for a run"),
      });
    expect(await answer("ivan")).toMatchObject({ kind: "decided" });
    expect(await stateOf(setup)).toBe("approved");
  });
});

test("who changed the policy within a day cannot be the only one to say yes", async () => {
  const { runId, answer } = await asked("{quorum=1}");
  await database.query(
    "INSERT INTO policy_versions (sha256, source, document, changed_by) VALUES ('x', 'configmap', '{}', 'U0ANA')",
  );
  try {
    expect(await answer("ana")).toEqual({ kind: "counted", runId, have: 1, need: 2 });
    expect(await answer("ivan")).toMatchObject({ kind: "decided" });
    const other = await asked("{quorum=1}");
    expect(await other.answer("ivan")).toMatchObject({ kind: "decided" });
  } finally {
    await database.query("DELETE FROM policy_versions WHERE sha256 = 'x'");
  }
});

describe("a usergroup", () => {
  const oncall = (members: readonly string[] | undefined): UserGroups => ({
    members: async (id) => (id === "S0CALL" ? members : undefined),
  });

  test("lets its members answer, a known person under the known name", async () => {
    const { setup, runId, answer } = await asked("{approvers=@S0CALL}", oncall(["U0ANA"]));

    expect(await answer("ivan")).toMatchObject({ kind: "not_allowed" });
    expect(await answer("ana")).toMatchObject({ kind: "decided" });
    await setup.advance(runId);
    expect(await stateOf(setup)).toBe("verifying");
  });

  test("whose members cannot be known lets nobody in; people named by id go on", async () => {
    const { answer } = await asked("{approvers=@S0CALL+U0EVA}", oncall(undefined));

    expect(await answer("ana")).toMatchObject({ kind: "not_allowed" });
    expect(await answer("U0EVA")).toMatchObject({ kind: "decided" });
  });

  test("is asked again before the action: who left it has no right any more", async () => {
    const { setup, runId, answer } = await asked("{approvers=@S0CALL}", oncall(["U0ANA"]));
    await answer("U0ANA");
    const approvals = openApprovals({ database, approvers: APPROVERS, groups: oncall([]) });

    await setup.advance(runId, { approvals });

    expect(await stateOf(setup)).toBe("skipped_no_approval");
    expect(setup.cluster.effects).toEqual([]);
  });
});

describe("a request", () => {
  /** A request of its own for a run that waits; returns what stands in the database. */
  async function requested(more: {
    effect?: PlanEffect;
    blast?: { affected: number; of: number };
    seconds?: number;
  }) {
    const { runId } = await asked("{quorum=1}");
    const run = await findRun(runId, database);
    if (run === undefined) throw new Error("the run is gone");
    await database.query("DELETE FROM approvals WHERE run_id = $1", [runId]);
    const request = { run, planHash: "h", quorum: 1, approvers: [], seconds: 60, ...more };
    const approvals = openApprovals({
      database,
      approvers: APPROVERS,
      productionNamespaces: ["shop"],
    });
    await approvals.request(database, request);
    const approval = await findApproval(runId, database);
    return { quorum: approval?.quorum, expiresAt: approval?.expiresAt, deadlineAt: run.deadlineAt };
  }

  test.each<[string, Parameters<typeof requested>[0], number]>([
    ["scales to 0", { effect: { kind: "scale", from: 3, to: 0 } }, 2],
    ["touches 4 of 6 pods in production", { blast: { affected: 4, of: 6 } }, 2],
    ["touches 3 of 6 pods in production", { blast: { affected: 3, of: 6 } }, 1],
    ["scales to 1", { effect: { kind: "scale", from: 3, to: 1 } }, 1],
  ])("whose plan %s needs as many people as it should", async (_name, more, quorum) => {
    expect((await requested(more)).quorum).toBe(quorum);
  });

  test("ends a minute before the run's own deadline, however long it may wait", async () => {
    const { expiresAt, deadlineAt } = await requested({ seconds: 3_600 });

    expect(deadlineAt.getTime() - (expiresAt?.getTime() ?? 0)).toBe(60_000);
  });
});

describe("asking again", () => {
  test("opens a run for the same alerts, which somebody else has to answer", async () => {
    const { setup, runId } = await asked("{quorum=1}");
    await database.query(
      "UPDATE runs SET state = 'plan_stale', finished_at = now() WHERE id = $1",
      [runId],
    );
    await database.query("UPDATE approvals SET state = 'approved' WHERE run_id = $1", [runId]);
    const approval = await findApproval(runId, database);
    if (approval === undefined) throw new Error("the request is gone");
    const deps = { database, enqueue: setup.deps.enqueue, approvers: APPROVERS };

    expect(await askAgain(approval, "mallory", deps)).toContain("You may not ask again");
    expect(await askAgain(approval, "U0ANA", deps)).toContain("Somebody else has to answer it");
    expect(await askAgain(approval, "U0ANA", deps)).toContain("Nothing was started");

    const again = (await setup.runs()).find(({ id }) => id !== runId);
    await setup.advance(again?.id ?? "");
    expect(await findRun(again?.id ?? "", database)).toMatchObject({
      state: "approval_pending",
      requestedBy: "ana",
      retryOf: runId,
    });
    expect(await setup.answer(again?.id ?? "", "approved", "ana")).toMatchObject({
      kind: "not_allowed",
    });
    expect((await setup.events(runId)).at(-1)).toBe("retried");
  });
});
