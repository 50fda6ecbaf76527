import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { armFailpoint } from "../../lib/failpoint.ts";
import type { Database } from "../../lib/postgres.ts";
import { takeSlot } from "../../runbooks/guard.ts";
import { leaseRun, LeaseLost, moveRun } from "../../runbooks/ledger.ts";
import { ClusterError } from "../../runbooks/types.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, openTestDatabase, type Given } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;
let apps = 0;
const nextApp = () => `app-${++apps}`;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});

afterAll(async () => {
  armFailpoint(undefined);
  await database.close();
  await testDatabase.drop();
});

/** One run that waits for its approval. */
async function waitingRun(setup: Given): Promise<string> {
  await setup.deliver([{}]);
  const [run] = await setup.runs();
  const id = run?.id ?? "";
  await setup.advance(id);
  return id;
}

async function stateOf(setup: Given): Promise<string | undefined> {
  return (await setup.runs()).at(-1)?.state;
}

async function slotsOf(app: string): Promise<number> {
  return (
    await database.query("SELECT 1 FROM breaker_slots WHERE app_key = $1", [
      `default/shop/deployment/${app}`,
    ])
  ).rowCount;
}

describe("from alerts to runs", () => {
  test("one run for one episode, however often and by whomever it is told", async () => {
    const setup = given(database, nextApp());

    await setup.deliver([{}]);
    await setup.deliver([{}]);
    await setup.deliver([{ labels: { severity: "page" }, fingerprint: "other" }], {
      source: "alertmanager",
    });
    await setup.deliver([{ startsAt: "2026-11-21T02:00:00Z" }]);

    const runs = await setup.runs();
    expect(runs).toHaveLength(1);
    expect(await setup.events(runs[0]?.id ?? "")).toEqual(["request", "joined"]);
  });

  test("counts a body that came before as duplicate", async () => {
    const setup = given(database, nextApp());

    expect(await setup.deliver([{}])).toMatchObject({ accepted: 1, duplicate: 0 });
    expect(await setup.deliver([{}])).toMatchObject({ accepted: 0, duplicate: 1 });
  });

  test("a new episode of a target that was just handled joins the old run (cooldown)", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    await setup.answer(id, "rejected");

    await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:05:00Z" }]);
    await setup.deliver([{ startsAt: "2026-11-21T03:06:00Z" }]);

    expect(await setup.runs()).toHaveLength(1);
    expect(await setup.events(id)).toContain("joined");
  });

  test("a resolved that is older than the firing, and a late firing after the resolved, change nothing", async () => {
    const setup = given(database, nextApp());

    await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T02:00:00Z" }]);
    await setup.deliver([{}]);
    await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T02:30:00Z" }]);
    const id = (await setup.runs())[0]?.id ?? "";
    await setup.advance(id);
    await setup.advance(id);

    expect(await stateOf(setup)).toBe("approval_pending");
  });

  test("an alert for nobody's runbook, or without a possible target, is stored and starts nothing", async () => {
    const setup = given(database, nextApp());

    await setup.deliver([
      { labels: { alertname: "Other" } },
      { labels: { namespace: "../x" }, fingerprint: "b" },
    ]);

    expect(await setup.runs()).toEqual([]);
  });

  test("a hundred deliveries at the same time about one target make one run", async () => {
    const setup = given(database, nextApp());
    const alerts = Array.from({ length: 100 }, (_, index) => ({
      fingerprint: `f${index}`,
      labels: { pod: `p${index}` },
    }));

    await Promise.all(alerts.map(async (alert) => setup.deliver([alert])));

    expect(await setup.runs()).toHaveLength(1);
  });
});

describe("a run", () => {
  test("asks, executes once, verifies, and writes each step down in order", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    expect(setup.cluster.restarts).toEqual([]);

    await setup.answer(id, "approved");
    await setup.advance(id);
    expect(await stateOf(setup)).toBe("verifying");
    await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:05:00Z" }]);
    await setup.advance(id);

    expect(await stateOf(setup)).toBe("succeeded");
    expect(setup.cluster.effects).toHaveLength(1);
    expect(await setup.events(id)).toEqual([
      "request",
      "approval_pending",
      "approved",
      "intent",
      "executed",
      "verified",
    ]);
  });

  test("in a dry run only asks the server, changes nothing and uses no slot", async () => {
    const app = nextApp();
    const setup = given(database, app);
    const dry = { switches: { ...setup.deps.switches, dryRun: true } };
    await setup.deliver([{}]);
    const id = (await setup.runs())[0]?.id ?? "";
    await setup.advance(id, dry);
    await setup.answer(id, "approved");
    await setup.advance(id, dry);

    expect(await stateOf(setup)).toBe("skipped_dry_run");
    expect(setup.cluster.restarts).toMatchObject([{ dryRun: true }]);
    expect(setup.cluster.effects).toEqual([]);
    expect(await slotsOf(app)).toBe(0);
  });

  test("an approval of a real run does not survive a switch to dry-run, nor a person who lost the right", async () => {
    const dryRun = given(database, nextApp());
    const first = await waitingRun(dryRun);
    await dryRun.answer(first, "approved");
    await dryRun.advance(first, { switches: { ...dryRun.deps.switches, dryRun: true } });

    const disabled = given(database, nextApp());
    const second = await waitingRun(disabled);
    await disabled.answer(second, "approved", "ana");
    await disabled.advance(second, {
      switches: { ...disabled.deps.switches, approvers: ["ivan"] },
    });

    expect(await stateOf(dryRun)).toBe("skipped_no_approval");
    expect(await disabled.runs()).toMatchObject([
      { state: "skipped_no_approval", outcome: "ana may not approve any more" },
    ]);
    expect([...dryRun.cluster.effects, ...disabled.cluster.effects]).toEqual([]);
  });

  test("ends rejected, and a second answer changes nothing", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);

    await setup.answer(id, "rejected");
    const late = await setup.answer(id, "approved", "ivan");
    await setup.advance(id);

    expect(late).toEqual({ kind: "closed", state: "rejected", by: "ana" });
    expect(await stateOf(setup)).toBe("rejected");
    expect(setup.cluster.restarts).toEqual([]);
  });

  test("expires when nobody answers: time never approves", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    await database.query(
      "UPDATE approvals SET expires_at = now() - interval '1 second' WHERE run_id = $1",
      [id],
    );

    const late = await setup.answer(id, "approved");
    await setup.advance(id);

    expect(late).toMatchObject({ kind: "closed", state: "expired" });
    expect(await stateOf(setup)).toBe("expired");
  });

  test("lets be what has resolved by itself, before and after the approval", async () => {
    const resolved = { status: "resolved", endsAt: "2026-11-21T03:05:00Z" } as const;
    const before = given(database, nextApp());
    const first = await waitingRun(before);
    await before.deliver([resolved]);
    await before.advance(first);

    const after = given(database, nextApp());
    const second = await waitingRun(after);
    await after.answer(second, "approved");
    await after.deliver([resolved]);
    await after.advance(second);

    expect([await stateOf(before), await stateOf(after)]).toEqual([
      "resolved_before_action",
      "resolved_before_action",
    ]);
    expect([...before.cluster.restarts, ...after.cluster.restarts]).toEqual([]);
    expect(await before.answer(first, "approved")).toMatchObject({
      kind: "closed",
      state: "cancelled",
    });
  });

  test("refuses somebody who is not an approver, and writes the attempt down", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);

    expect(await setup.answer(id, "approved", "mallory")).toEqual({ kind: "not_allowed" });

    expect(await stateOf(setup)).toBe("approval_pending");
    expect(await setup.events(id)).toContain("approval_denied");
  });

  test("does not execute when the object changed after the plan was made", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    setup.cluster.change({ generation: 2 });

    await setup.advance(id);

    expect(await setup.runs()).toMatchObject([
      { state: "plan_stale", outcome: "the Deployment changed (generation 1 → 2)" },
    ]);
    expect(setup.cluster.effects).toEqual([]);
  });

  test.each([
    [
      "does not exist",
      (setup: Given) => {
        setup.cluster.remove();
      },
      /there is no Deployment shop\//,
    ],
    [
      "is paused",
      (setup: Given) => {
        setup.cluster.change({ paused: true });
      },
      /is paused/,
    ],
    [
      "is scaled to 0",
      (setup: Given) => {
        setup.cluster.change({ replicas: 0 });
      },
      /scaled to 0/,
    ],
  ])("asks nobody when the Deployment %s", async (_name, change, outcome) => {
    const setup = given(database, nextApp());
    change(setup);

    await waitingRun(setup);

    const [run] = await setup.runs();
    expect(run?.state).toBe("skipped_target");
    expect(run?.outcome).toMatch(outcome);
  });

  test("stays where it is while the cluster does not answer, and fails for good when it refuses", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    setup.cluster.failWith(new ClusterError("no answer", { retryable: true }));
    await expect(setup.advance(id)).rejects.toThrow("no answer");
    expect(await stateOf(setup)).toBe("intent");

    setup.cluster.failWith(
      new ClusterError('forbidden: cannot patch "deployments"', { retryable: false }),
    );
    await setup.advance(id);

    expect(await setup.runs()).toMatchObject([
      { state: "failed", outcome: 'forbidden: cannot patch "deployments"' },
    ]);
  });

  test("never calls it a success when the alert goes on firing", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    await setup.advance(id, { verifySeconds: 0 });

    expect(await setup.runs()).toMatchObject([
      { state: "failed", outcome: expect.stringContaining("it did not help") },
    ]);
  });

  test("records the whole input of its decision", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);

    const { rows } = await database.query<{ decision: Record<string, unknown> }>(
      "SELECT decision FROM runs WHERE id = $1",
      [id],
    );

    expect(rows[0]?.decision).toMatchObject({
      code_version: "test",
      input: {
        alert: { trigger: "latency_p99", reason: "level_shift" },
        breaker: { usedHour: 0 },
        switches: { dryRun: false },
      },
      input_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      policy_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      verdict: { kind: "act" },
    });
  });
});

describe("crashes and races", () => {
  test("a step that dies after the cluster was called has one effect, and is written down by the next worker", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    armFailpoint("after-cluster-call:throw");
    await expect(setup.advance(id)).rejects.toThrow("failpoint");
    armFailpoint(undefined);

    await setup.advance(id);

    expect(await stateOf(setup)).toBe("verifying");
    expect(setup.cluster.effects).toHaveLength(1);
    expect((await setup.events(id)).filter((event) => event === "executed")).toHaveLength(1);
  });

  test("a run that somebody works on is left alone, and looked at again later", async () => {
    const setup = given(database, nextApp());
    await setup.deliver([{}]);
    const id = (await setup.runs())[0]?.id ?? "";
    await leaseRun({ id, owner: "worker-2", seconds: 30 }, database);
    setup.jobs.length = 0;

    await setup.advance(id);

    expect(await stateOf(setup)).toBe("matched");
    expect(setup.jobs).toMatchObject([
      { queue: "runbooks-run", data: { runId: id }, startAfter: expect.any(Date) },
    ]);
  });

  test("a worker that lost its lease writes nothing any more", async () => {
    const setup = given(database, nextApp());
    await setup.deliver([{}]);
    const id = (await setup.runs())[0]?.id ?? "";
    const first = await leaseRun({ id, owner: "worker-1", seconds: 30 }, database);
    await database.query(
      "UPDATE runs SET lease_until = now() - interval '1 second' WHERE id = $1",
      [id],
    );
    await leaseRun({ id, owner: "worker-2", seconds: 30 }, database);

    await expect(
      moveRun(first!, { state: "failed", audit: [{ event: "failed", actor: "x" }] }, database),
    ).rejects.toThrow(LeaseLost);

    expect(await stateOf(setup)).toBe("matched");
    expect(await setup.events(id)).toEqual(["request"]);
  });

  test("without its audit row a change does not happen", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    await setup.answer(id, "approved");
    await database.query(
      "ALTER TABLE runbooks_audit ADD CONSTRAINT no_intent CHECK (event <> 'intent') NOT VALID",
    );

    await expect(setup.advance(id)).rejects.toThrow("no_intent");
    await database.query("ALTER TABLE runbooks_audit DROP CONSTRAINT no_intent");

    expect(await stateOf(setup)).toBe("approved");
    expect(setup.cluster.restarts).toEqual([]);
  });

  test("64 people answering 20 requests at the same moment give 20 decisions", async () => {
    const setups = Array.from({ length: 20 }, () => given(database, nextApp()));
    const ids = await Promise.all(setups.map(waitingRun));

    const outcomes = await Promise.all(
      ids.flatMap((id, at) =>
        Array.from({ length: 64 }, async (_, click) =>
          setups[at]!.answer(
            id,
            click % 2 === 0 ? "approved" : "rejected",
            click % 3 === 0 ? "ana" : "ivan",
          ),
        ),
      ),
    );

    expect(outcomes.filter(({ kind }) => kind === "decided")).toHaveLength(20);
  });

  test("64 racing runs of one app take exactly the slots of the limit", async () => {
    const app = nextApp();
    const appKey = `default/shop/deployment/${app}`;
    await database.query(
      `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at)
       SELECT $1 || n, $1 || n, 'anomaly', 'approved', 'shop', $1, '{}', now() FROM generate_series(1, 64) n`,
      [app],
    );

    const slots = await Promise.all(
      Array.from({ length: 64 }, async (_, at) =>
        database.inTransaction(async (tx) =>
          takeSlot({ appKey, runId: `${app}${at + 1}`, limits: { hourly: 3, daily: 10 } }, tx),
        ),
      ),
    );

    expect(slots.filter(({ taken }) => taken)).toHaveLength(3);
    expect(await slotsOf(app)).toBe(3);
  });

  test("a run's second try keeps its slot and takes no other", async () => {
    const setup = given(database, nextApp());
    const id = await waitingRun(setup);
    const appKey = `retry-${id}`;
    const take = async () =>
      database.inTransaction(async (tx) =>
        takeSlot({ appKey, runId: id, limits: { hourly: 1, daily: 1 } }, tx),
      );

    expect([await take(), await take()]).toEqual([{ taken: true }, { taken: true }]);
  });
});
