import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { appendAudit, appendAuditEntries } from "../../runbooks/audit.ts";
import { verifyAudit } from "../../runbooks/audit/verify.ts";
import { openGuard } from "../../runbooks/guard.ts";
import { leaseRun, moveRun } from "../../runbooks/ledger.ts";
import { given, waitingRun } from "../runbooks/given.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { connectOwner } from "./given.ts";

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

const subject = (id: string | null) => ({ id, namespace: "shop", app: "a", targetKey: null });
const SOUND = { problems: [], problemCount: 0 };

test("every column of the record but its hash is part of the hash", async () => {
  const { rows } = await database.query<{ name: string }>(
    `SELECT column_name AS name FROM information_schema.columns
      WHERE table_name = 'runbooks_audit' AND column_name <> 'hash'`,
  );
  const { rows: source } = await database.query<{ prosrc: string }>(
    "SELECT prosrc FROM pg_proc WHERE proname = 'audit_row_hash'",
  );

  const hashed = [...(source[0]?.prosrc.matchAll(/\ba\.(\w+)|\b(chain_row|prev_hash)\b/g) ?? [])];
  expect(rows.map(({ name }) => name).sort()).toEqual(
    [...new Set(hashed.map(([, of = "", own = ""]) => of || own))].sort(),
  );
});

test("64 writers at once to one run make one chain without a fork", async () => {
  await Promise.all(
    Array.from({ length: 64 }, async (_, writer) =>
      database.inTransaction(async (tx) =>
        appendAudit(tx, subject("run_busy"), [
          { event: "vote", actor: `writer-${writer}` },
          { event: "vote", actor: `writer-${writer}` },
        ]),
      ),
    ),
  );

  const { rows } = await database.query<{ places: string[] }>(
    "SELECT array_agg(chain_row::text ORDER BY chain_row) AS places FROM runbooks_audit WHERE run_id = 'run_busy'",
  );
  expect(rows[0]?.places).toEqual(Array.from({ length: 128 }, (_, at) => String(at + 1)));
  expect(await verifyAudit(database)).toMatchObject(SOUND);
});

test("under repeatable read the second writer is refused, not chained to the same row", async () => {
  const write = async () =>
    database.inTransaction(
      async (tx) => {
        await tx.query("SELECT count(*) FROM runbooks_audit"); // the snapshot begins here
        await new Promise((resolve) => setTimeout(resolve, 100));
        await appendAudit(tx, subject("run_repeatable"), [{ event: "vote", actor: "x" }]);
      },
      { isolation: "repeatable read" },
    );
  await database.inTransaction(async (tx) =>
    appendAudit(tx, subject("run_repeatable"), [{ event: "request", actor: "x" }]),
  );

  const written = await Promise.allSettled([write(), write()]);

  expect(written.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  expect(await verifyAudit(database)).toMatchObject(SOUND);
});

test("a transaction that fails leaves no gap in the chain", async () => {
  const write = async (fail: boolean) =>
    database.inTransaction(async (tx) => {
      await appendAudit(tx, subject("run_gap"), [{ event: "vote", actor: "x" }]);
      if (fail) throw new Error("rolled back");
    });

  await write(false);
  await expect(write(true)).rejects.toThrow("rolled back");
  await write(false);

  expect(await verifyAudit(database)).toMatchObject(SOUND);
});

test("whoever writes past the trigger's columns has them overwritten", async () => {
  await database.query(
    `INSERT INTO runbooks_audit (run_id, event, actor, chain, chain_row, prev_hash, hash)
     VALUES ('run_forger', 'approved', 'x', 'run_busy', 99, 'a', 'b')`,
  );

  const { rows } = await database.query(
    "SELECT chain, chain_row::int AS place, prev_hash FROM runbooks_audit WHERE run_id = 'run_forger'",
  );
  expect(rows).toEqual([{ chain: "run_forger", place: 1, prev_hash: null }]);
});

test("50,000 rows without a run in one transaction are chained in blocks, not in one long chain", async () => {
  const entry = { subject: subject(null), event: "skipped_target", actor: "am", detail: {} };
  await database.inTransaction(async (tx) =>
    appendAuditEntries(
      tx,
      Array.from({ length: 50_000 }, () => entry),
    ),
  );

  const { rows } = await database.query<{ longest: number }>(
    "SELECT max(rows)::int AS longest FROM audit_heads WHERE chain LIKE 'tx:%'",
  );
  expect(rows).toEqual([{ longest: 256 }]);
  expect(await verifyAudit(database)).toMatchObject(SOUND);
});

test("a run's end that opens a breaker and a delivery about the same run do not wait for each other", async () => {
  const setup = given(database, "deadlock");
  const runId = await waitingRun(setup);
  const run = await leaseRun({ id: runId, owner: "w", seconds: 30 }, database);
  if (run === undefined) throw new Error("the run is not free");
  // Two actions before it did not help either.
  await database.query("INSERT INTO breakers (app_key) VALUES ($1)", [run.targetKey]);
  for (const before of ["run_before1", "run_before2"]) {
    await database.query(
      `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, finished_at)
       VALUES ($1, $2, 'other', 'failed', 'shop', 'x', '{}', now(), now())`,
      [before, run.targetKey],
    );
    await appendAudit(database, subject(before), [{ event: "executed", actor: "fettle" }]);
  }
  const guard = openGuard({ database, limits: { hourly: 3, daily: 10 }, view: undefined });
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });

  const moved = moveRun(
    run,
    async (tx) => {
      await guard.outcome(run, "failed", tx);
      begin();
      await new Promise((resolve) => setTimeout(resolve, 300));
      return { state: "failed", audit: [{ event: "failed", actor: "fettle" }] };
    },
    database,
  );
  await begun;
  await Promise.all([moved, setup.deliver([{ fingerprint: "another" }])]);

  expect(await setup.events(runId)).toEqual(expect.arrayContaining(["breaker_opened", "failed"]));
  expect(await verifyAudit(database)).toMatchObject(SOUND);
});

test("the services' role appends to the chain, and can touch neither rows nor heads", async () => {
  const owner = await connectOwner(testDatabase.url);
  const role = `writer_${process.pid}`;
  await owner.run(
    `CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA public TO ${role};
     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role};
     GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ${role};
     REVOKE UPDATE, DELETE, TRUNCATE ON runbooks_audit, audit_checkpoints FROM ${role};
     REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON audit_heads, audit_chain_start FROM ${role};`,
  );
  const service = openTestDatabase(
    Object.assign(new URL(testDatabase.url), { username: role }).href,
  );

  await appendAudit(service, subject("run_role"), [{ event: "request", actor: "x" }]);
  for (const statement of [
    "UPDATE audit_heads SET rows = 0",
    "DELETE FROM audit_heads",
    "INSERT INTO audit_heads (chain, rows, hash) VALUES ('x', 1, 'x')",
    "UPDATE audit_chain_start SET rows = 0",
    "DELETE FROM runbooks_audit",
  ])
    await expect(service.query(statement)).rejects.toThrow(/permission denied/);
  // A table of its own in the heads' place changes nothing: the trigger does not look there.
  await service.withConnection(async (client) => {
    await client.query("CREATE TEMP TABLE audit_heads (LIKE public.audit_heads INCLUDING ALL)");
    await client.query(
      "INSERT INTO runbooks_audit (run_id, event, actor) VALUES ('run_role', 'approved', 'x')",
    );
    await client.query("DROP TABLE pg_temp.audit_heads");
  });

  expect(await verifyAudit(service)).toMatchObject(SOUND);
  await service.close();
  await owner.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await owner.end();
});
