import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { findApproval } from "../../runbooks/approval/answer.ts";
import { cancelRun } from "../../runbooks/cancel-run.ts";
import { findRun, leaseRun, moveRun } from "../../runbooks/ledger.ts";
import { lockNames } from "../../runbooks/lock-names.ts";
import { retryRun } from "../../runbooks/retry-run.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { given, slotsOf, stateOf, waitingRun, type Given } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;
let names = 0;
const nextName = () => `again-${++names}`;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const cancel = async (runId: string, reason?: string) =>
  cancelRun({ runId, by: "iva", via: "cli", reason }, { database });

/** Waits until somebody waits for a lock of this database. */
const somebodyWaits = async () =>
  waitUntil("somebody to wait", async () => {
    const { rows } = await database.query(
      `SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE NOT l.granted AND a.datname = current_database()`,
    );
    return rows.length > 0;
  });

describe("cancelling", () => {
  test("ends a run that waits, its request with it, and tells the channels", async () => {
    const setup = given(database, nextName());
    const runId = await waitingRun(setup);

    expect(await cancel(runId, "deploy under way")).toEqual({ kind: "cancelled", runId });

    expect(await setup.runs()).toMatchObject([
      { state: "cancelled", outcome: "cancelled by iva: deploy under way" },
    ]);
    expect(await findApproval(runId, database)).toMatchObject({
      state: "cancelled",
      decidedBy: "iva",
    });
    expect(await setup.answer(runId, "approved")).toMatchObject({ kind: "closed" });
    const { rows } = await database.query(
      `SELECT a.actor, a.detail, n.id IS NOT NULL AS told FROM runbooks_audit a
         LEFT JOIN runbooks_notices n ON n.audit_id = a.id WHERE a.run_id = $1 AND a.event = 'cancelled'`,
      [runId],
    );
    expect(rows).toEqual([
      {
        actor: "iva",
        detail: { via: "cli", reason: "deploy under way", state_before: "approval_pending" },
        told: true,
      },
    ]);
    await setup.advance(runId);
    expect(await stateOf(setup)).toBe("cancelled");
  });

  test("after an approval and before the intent takes no slot, and changes nothing", async () => {
    const app = nextName();
    const setup = given(database, app);
    const runId = await waitingRun(setup);
    await setup.answer(runId, "approved");

    expect(await cancel(runId)).toMatchObject({ kind: "cancelled" });
    await setup.advance(runId);

    expect(await slotsOf(app, database)).toBe(0);
    expect(setup.cluster.restarts.filter(({ dryRun }) => !dryRun)).toEqual([]);
    expect(await findApproval(runId, database)).toMatchObject({ state: "approved" });
  });

  test("takes the run away from the worker that has it", async () => {
    const setup = given(database, nextName());
    const runId = await waitingRun(setup);
    await setup.answer(runId, "approved");
    const leased = await leaseRun({ id: runId, owner: "worker", seconds: 30 }, database);
    if (leased === undefined) throw new Error("the run is not free");

    await cancel(runId);

    const intent = { state: "intent", audit: [{ event: "intent", actor: "fettle" }] } as const;
    await expect(moveRun(leased, intent, database)).rejects.toThrow("was taken over");
    expect(await setup.events(runId)).not.toContain("intent");
  });

  test.each(["intent", "verifying"])(
    "is refused while it is %s, and changes nothing",
    async (state) => {
      const setup = given(database, nextName());
      const runId = await waitingRun(setup);
      await database.query("UPDATE runs SET state = $2 WHERE id = $1", [runId, state]);

      expect(await cancel(runId)).toEqual({ kind: "too_late", state });
      expect(await stateOf(setup)).toBe(state);
      expect(await setup.events(runId)).not.toContain("cancelled");
    },
  );

  test("says that a run is over, or that there is none", async () => {
    const setup = given(database, nextName());
    const runId = await waitingRun(setup);
    await setup.answer(runId, "rejected");

    expect(await cancel(runId)).toEqual({ kind: "over", state: "rejected" });
    expect(await cancel("run_nowhere")).toEqual({ kind: "not_found" });
  });

  test("and an answer at the same moment: one of them wins, 50 times", async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const setup = given(database, nextName());
        const runId = await waitingRun(setup);
        const [answered, cancelled] = await Promise.all([
          setup.answer(runId, "rejected"),
          cancel(runId),
        ]);
        return [
          answered.kind === "decided",
          cancelled.kind === "cancelled",
          await stateOf(setup),
        ] as const;
      }),
    );

    for (const [answered, cancelled, state] of outcomes) {
      expect(answered).not.toBe(cancelled);
      expect(state).toBe(answered ? "rejected" : "cancelled");
    }
  });
});

async function rejectedRun(): Promise<{ readonly setup: Given; readonly runId: string }> {
  const setup = given(database, nextName());
  const runId = await waitingRun(setup);
  await setup.answer(runId, "rejected");
  return { setup, runId };
}

const retryDeps = (setup: Given) => ({
  database,
  enqueue: setup.deps.enqueue,
  approvers: ["ana", "ivan"],
});

describe("a retry", () => {
  test("is a new run through the policy and a new approval, by somebody else than who asked for it", async () => {
    const { setup, runId } = await rejectedRun();

    const outcome = await retryRun({ runId, by: "ana", mode: "real" }, retryDeps(setup));
    if (outcome.kind !== "started") throw new Error(`not started: ${outcome.kind}`);
    const again = outcome.runId;
    await setup.advance(again);

    expect(await findRun(again, database)).toMatchObject({
      state: "approval_pending",
      retryOf: runId,
      requestedBy: "ana",
      plan: { dryRun: false },
    });
    expect(setup.jobs).toContainEqual({ queue: "runbooks-run", data: { runId: again } });
    expect((await setup.answer(again, "approved", "ana")).kind).toBe("not_allowed");
    expect((await setup.answer(again, "approved", "ivan")).kind).toBe("decided");
    expect((await setup.events(runId)).at(-1)).toBe("retried");
    expect((await setup.events(again))[0]).toBe("request");
  });

  test("as a dry run changes nothing, and its decision says why and replays", async () => {
    const { setup, runId } = await rejectedRun();

    const outcome = await retryRun({ runId, by: "mallory", mode: "dry-run" }, retryDeps(setup));
    if (outcome.kind !== "started") throw new Error(`not started: ${outcome.kind}`);
    await setup.advance(outcome.runId);
    await setup.answer(outcome.runId, "approved");
    await setup.advance(outcome.runId);

    expect(await findRun(outcome.runId, database)).toMatchObject({
      state: "skipped_dry_run",
      dryRun: true,
      plan: { dryRun: true },
    });
    expect(setup.cluster.restarts.filter(({ dryRun }) => !dryRun)).toEqual([]);
    const { rows } = await database.query(
      "SELECT decision #> '{input,switches,dryRun}' AS dry FROM runs WHERE id = $1",
      [outcome.runId],
    );
    expect(rows).toEqual([{ dry: true }]);
  });

  test("is refused for strangers, running runs, resolved alerts and what does not exist", async () => {
    const { setup, runId } = await rejectedRun();
    const retry = async (id: string, by = "ana") =>
      retryRun({ runId: id, by, mode: "real" }, retryDeps(setup));

    expect(await retry(runId, "mallory")).toMatchObject({ kind: "not_allowed" });
    expect(await retry("run_nowhere")).toEqual({ kind: "not_found" });
    const waiting = await waitingRun(given(database, nextName()));
    expect(await retry(waiting)).toEqual({ kind: "not_over", state: "approval_pending" });

    await setup.deliver([{ status: "resolved", endsAt: "2026-11-21T03:10:00Z" }]);
    expect(await retry(runId)).toMatchObject({ kind: "nothing_to_do" });
    expect(await setup.runs()).toHaveLength(1);
  });

  test("and a delivery about the same alert: neither waits for the other for ever", async () => {
    const { setup, runId } = await rejectedRun();

    const outcome = await database.inTransaction(async (delivery) => {
      // As a delivery does: the alert's name, its episode, then the run that it belongs to.
      const { rows } = await delivery.query<{ name: string }>(
        "SELECT source || ' ' || fingerprint AS name FROM episodes WHERE run_id = $1",
        [runId],
      );
      await lockNames(
        delivery,
        rows.map(({ name }) => name),
      );
      await delivery.query("UPDATE episodes SET last_seen_at = now() WHERE run_id = $1", [runId]);
      const retrying = retryRun({ runId, by: "ana", mode: "real" }, retryDeps(setup));
      retrying.catch(() => undefined); // looked at below
      await somebodyWaits();
      await delivery.query("SELECT 1 FROM runs WHERE id = $1 FOR UPDATE", [runId]);
      return { retrying };
    });

    expect((await outcome.retrying).kind).toBe("started");
  });

  test("by two people at once is one run", async () => {
    const { setup, runId } = await rejectedRun();

    const outcomes = await Promise.all(
      ["ana", "ivan"].map(async (by) => retryRun({ runId, by, mode: "real" }, retryDeps(setup))),
    );

    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["nothing_to_do", "started"]);
  });
});
