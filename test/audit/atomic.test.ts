import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { askAgain } from "../../runbooks/approval/ask-again.ts";
import { findApproval } from "../../runbooks/approval/answer.ts";
import { changeBreaker } from "../../runbooks/breaker-control.ts";
import { cancelRun } from "../../runbooks/cancel-run.ts";
import { switchOff, switchOn } from "../../runbooks/kill-switch.ts";
import { leaseRun, moveRun, recordProgress } from "../../runbooks/ledger.ts";
import { recordPolicy } from "../../runbooks/policy/versions.ts";
import { retryRun } from "../../runbooks/retry-run.ts";
import { given, waitingRun, type Given } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";

const REFUSED = "the record is full";
const APPROVERS = ["ana", "ivan"];

let testDatabase: TestDatabase;
let database: Database;
let names = 0;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  await database.query(
    `CREATE FUNCTION refuse_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '${REFUSED}'; END $$`,
  );
});
afterEach(async () => {
  await database.query("DROP TRIGGER IF EXISTS refused ON runbooks_audit");
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** From now on no row can be added to the record. */
async function refuseRows(): Promise<void> {
  await database.query(
    "CREATE TRIGGER refused BEFORE INSERT ON runbooks_audit FOR EACH ROW EXECUTE FUNCTION refuse_rows()",
  );
}

/** Everything that a change could have touched. */
async function everything(): Promise<object> {
  const tables = [
    ...["runs", "episodes", "approvals", "approval_votes", "breakers", "breaker_slots"],
    ...["kill_switches", "policy_state", "policy_versions", "runbooks_audit", "audit_heads"],
    ...["runbooks_notices", "alert_groups"],
  ];
  const rows: Record<string, unknown> = {};
  for (const table of tables) {
    const found = await database.query(
      `SELECT to_jsonb(t) AS row FROM ${table} t ORDER BY t::text`,
    );
    // A lease that is taken and given back is no change of state.
    rows[table] = found.rows.map(({ row }) => ({ ...(row as object), ...WITHOUT_LEASE }));
  }
  return rows;
}
const WITHOUT_LEASE = { lease_owner: 0, lease_token: 0, lease_until: 0, look_at: 0 };

const given_ = () => given(database, `atomic-${++names}`);

async function rejected(setup: Given): Promise<string> {
  const runId = await waitingRun(setup);
  await setup.answer(runId, "rejected");
  return runId;
}

/** Each kind of change: what is there before it, and the change itself. */
const CHANGES: Readonly<Record<string, (setup: Given) => Promise<() => Promise<unknown>>>> = {
  "a delivery that opens a run": async (setup) => async () => setup.deliver([{}]),
  "a delivery that joins a run": async (setup) => {
    await waitingRun(setup);
    return async () => setup.deliver([{ fingerprint: "another" }]);
  },
  "a cut group that stops a run": async (setup) => {
    await waitingRun(setup);
    return async () => setup.deliver([{ fingerprint: "another" }], { truncated: 3 });
  },
  "an alert that no run may be opened for": async (setup) => async () =>
    setup.deliver([{ labels: { app: "", namespace: "Not A Name" } }]),
  "a decision, with its request": async (setup) => {
    await setup.deliver([{}]);
    const [run] = await setup.runs();
    // Going there without anything to collect is the one change that no row tells of.
    await database.query("UPDATE runs SET state = 'collected' WHERE id = $1", [run?.id]);
    return async () => setup.advance(run?.id ?? "");
  },
  "a yes": async (setup) => {
    const runId = await waitingRun(setup);
    return async () => setup.answer(runId, "approved");
  },
  "a no": async (setup) => {
    const runId = await waitingRun(setup);
    return async () => setup.answer(runId, "rejected");
  },
  "an intent, with its slot": async (setup) => {
    const runId = await waitingRun(setup);
    await setup.answer(runId, "approved");
    return async () => setup.advance(runId);
  },
  "an expiry": async (setup) => {
    const runId = await waitingRun(setup);
    await database.query("UPDATE approvals SET expires_at = now() WHERE run_id = $1", [runId]);
    return async () => setup.advance(runId);
  },
  "an action's progress": async (setup) => {
    const runId = await waitingRun(setup);
    const run = await leaseRun({ id: runId, owner: "w", seconds: 30 }, database);
    if (run === undefined) throw new Error("the run is not free");
    const audit = [{ event: "progress", actor: "fettle" }];
    return async () => recordProgress(run, { progress: { evicted: ["a"] }, audit }, database);
  },
  "the end of an action that did not help, with its breaker": async (setup) => {
    const runId = await waitingRun(setup);
    const run = await leaseRun({ id: runId, owner: "w", seconds: 30 }, database);
    if (run === undefined) throw new Error("the run is not free");
    const audit = [{ event: "failed", actor: "fettle" }];
    return async () =>
      moveRun(
        run,
        async (tx) => {
          await tx.query("INSERT INTO breakers (app_key) VALUES ($1)", [run.targetKey]);
          return { state: "failed", audit };
        },
        database,
      );
  },
  "a person who cancels": async (setup) => {
    const runId = await waitingRun(setup);
    return async () => cancelRun({ runId, by: "ana", via: "cli", reason: "x" }, { database });
  },
  "a person who starts a run again": async (setup) => {
    const runId = await rejected(setup);
    const deps = { database, enqueue: setup.deps.enqueue, approvers: APPROVERS };
    return async () => retryRun({ runId, by: "ana", mode: "real" }, deps);
  },
  "a person who asks again": async (setup) => {
    const runId = await waitingRun(setup);
    await database.query("UPDATE runs SET state = 'expired', finished_at = now() WHERE id = $1", [
      runId,
    ]);
    const approval = await findApproval(runId, database);
    if (approval === undefined) throw new Error("there is no request");
    const deps = { database, enqueue: setup.deps.enqueue, approvers: APPROVERS };
    return async () => askAgain(approval, "ana", deps);
  },
  "a breaker that a person opens": async () => async () =>
    changeBreaker({ key: "app:default/shop/x", state: "open", by: "ana", reason: "x" }, database),
  "a breaker that a person closes": async () => {
    const breaker = { key: "app:default/shop/y", by: "ana", reason: "x" };
    await changeBreaker({ ...breaker, state: "open" }, database);
    return async () => changeBreaker({ ...breaker, state: "closed" }, database);
  },
  "a kill switch": async () => async () =>
    switchOff({ scope: "elsewhere", by: "ana", reason: "x", seconds: undefined }, database),
  "the end of a kill switch": async () => {
    const stop = { scope: "elsewhere", by: "ana", reason: "x" };
    await switchOff({ ...stop, seconds: undefined }, database);
    return async () => switchOn(stop, database);
  },
  "a new policy": async () => async () => {
    const document = { sha256: `new-${names}`, source: "env", entries: [] } as const;
    return recordPolicy({ kind: "read", document, changedBy: "ana", isNew: true }, database);
  },
};

test.each(Object.entries(CHANGES))("%s does not happen without its row", async (_, prepare) => {
  const change = await prepare(given_());
  const before = await everything();
  await refuseRows();

  await expect(change()).rejects.toThrow(REFUSED);

  expect(await everything()).toEqual(before);
});

test.each(Object.entries(CHANGES))("%s happens when the record takes it", async (_, prepare) => {
  const change = await prepare(given_());
  const before = await everything();

  await change();

  expect(await everything()).not.toEqual(before);
});
