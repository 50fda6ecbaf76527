import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { verifyAudit } from "../../runbooks/audit/verify.ts";
import { createTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { afterTampering, connectOwner, givenOldRows, givenRecord, type Owner } from "./given.ts";

const TAMPERINGS = 1_000;
const OLD_ROWS = 7;

let testDatabase: TestDatabase;
let owner: Owner;
let rows: number;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  owner = await connectOwner(testDatabase.url);
  await givenOldRows(owner, OLD_ROWS);
  await givenRecord(owner, 6, 5);
  rows = 6 * 5 + 5;
});
afterAll(async () => {
  await owner.end();
  await testDatabase.drop();
});

/** A stream of numbers that is the same each time. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

const COLUMNS: ReadonlyMap<string, string> = new Map([
  ["id", "id + 100000"],
  ["xid", "(xid::text::bigint + 1)::text::xid8"],
  ["ts", "ts + interval '1 microsecond'"],
  ["run_id", "coalesce(run_id || 'x', '')"],
  ["event", "event || ' '"],
  ["actor", "'mallory'"],
  ["namespace", "coalesce(namespace || '-a', '')"],
  ["app", "coalesce(NULLIF(app, ''), 'x') || 'y'"],
  ["target", "coalesce(target || 'x', '')"],
  ["action", "coalesce(action || 'x', '')"],
  ["detail", `detail || '{"forged": true}'`],
  ["correlation_id", "coalesce(correlation_id || 'x', '')"],
  ["trace_id", "coalesce(trace_id || 'x', '')"],
  ["chain", "coalesce(chain, '') || 'x'"],
  ["chain_row", "coalesce(chain_row, 0) + 1000"],
  ["prev_hash", "repeat('0', 64)"],
  ["hash", "repeat('0', 64)"],
]);

type Roll = (sides: number) => number;

/** What a person with the owner's rights may do; `n` is any of the record's rows, as an offset. */
const TAMPERINGS_OF = [
  (roll: Roll) => {
    const [column = "", value = ""] = [...COLUMNS][roll(COLUMNS.size)] ?? [];
    return `UPDATE runbooks_audit SET ${column} = ${value} WHERE id = ${anyRow(roll)}`;
  },
  (roll: Roll) => `DELETE FROM runbooks_audit WHERE id = ${anyRow(roll)}`,
  (roll: Roll) => `DELETE FROM runbooks_audit WHERE chain = (${anyChain(roll)})`,
  (roll: Roll) =>
    `INSERT INTO runbooks_audit (run_id, event, actor) VALUES ('run_${roll(6)}', 'approved', 'ana')`,
  (roll: Roll) =>
    `INSERT INTO runbooks_audit (chain, chain_row, prev_hash, hash, run_id, event, actor)
     SELECT chain, rows + 1, hash, repeat('a', 64), 'run_0', 'approved', 'ana' FROM audit_heads WHERE chain = (${anyChain(roll)})`,
  (roll: Roll) =>
    `INSERT INTO runbooks_audit (id, run_id, event, actor) OVERRIDING SYSTEM VALUE
     VALUES (-${roll(50)}, 'run_old1', 'approved', 'ana')`,
  (roll: Roll) =>
    // two rows change places
    `WITH two AS (SELECT id, actor, event, lead(event, 1, 'none') OVER (ORDER BY id) AS other FROM runbooks_audit
                   WHERE chain = (${anyChain(roll)}))
     UPDATE runbooks_audit a SET event = two.other FROM two WHERE two.id = a.id`,
  (roll: Roll) => `UPDATE audit_heads SET rows = rows - 1 WHERE chain = (${anyChain(roll)})`,
  (roll: Roll) => `UPDATE audit_heads SET hash = md5(hash) WHERE chain = (${anyChain(roll)})`,
  (roll: Roll) => `DELETE FROM audit_heads WHERE chain = (${anyChain(roll)})`,
  () => "UPDATE audit_chain_start SET rows = rows + 1",
  () => "DELETE FROM audit_chain_start",
];

const anyRow = (roll: Roll) =>
  `(SELECT id FROM runbooks_audit ORDER BY id OFFSET ${roll(rows + OLD_ROWS)} LIMIT 1)`;
const anyChain = (roll: Roll) =>
  `SELECT chain FROM audit_heads ORDER BY chain OFFSET ${roll(6 + 1)} LIMIT 1`;

test("a record that nobody touched is sound, rows from before the chain included", async () => {
  expect(await verifyAudit(owner)).toEqual({
    rows,
    chains: 6 + 5,
    rowsBefore: OLD_ROWS,
    checkpoints: 0,
    problems: [],
    problemCount: 0,
  });
});

test(`each of ${TAMPERINGS} random edits, deletes and inserts by the table's owner is found`, async () => {
  const roll = dice(20_261_121);
  const missed: string[] = [];
  for (let nth = 0; nth < TAMPERINGS; nth += 1) {
    // Half of them are the plainest: one value of one row.
    const kind = roll(2) === 0 ? 0 : roll(TAMPERINGS_OF.length);
    const tampering = TAMPERINGS_OF[kind]?.(roll) ?? "";
    const found = await afterTampering(owner, tampering, async (touched) => {
      const { problemCount } = await verifyAudit(owner);
      return touched > 0 && problemCount > 0;
    });
    if (!found) missed.push(tampering);
  }

  expect(missed).toEqual([]);
  expect((await verifyAudit(owner)).problemCount).toBe(0);
}, 180_000);

const NTH = (place: number) => `WHERE chain = 'run_2' AND chain_row = ${place}`;

test.each([
  [`UPDATE runbooks_audit SET actor = 'x' ${NTH(3)}`, "edited", /is not what was written/],
  [`DELETE FROM runbooks_audit ${NTH(2)}`, "deleted", /^row 2 is missing before row 3 of its/],
  [
    `UPDATE runbooks_audit SET prev_hash = NULL, hash = audit_row_hash(runbooks_audit, 3, NULL) ${NTH(3)}`,
    "reordered",
    /does not follow the row before it/,
  ],
  [
    `UPDATE runbooks_audit SET chain = NULL, chain_row = NULL, prev_hash = NULL, hash = NULL ${NTH(3)}`,
    "inserted",
    /was written past the chain, or taken out of it/,
  ],
])("%s names the third row of the run, and says that it was %s", async (tampering, kind, text) => {
  const [problem, id] = await afterTampering(owner, tampering, async () => {
    const { problems } = await verifyAudit(owner);
    const third = await owner.query<{ id: string }>(
      `SELECT id::text FROM runbooks_audit WHERE run_id = 'run_2' ORDER BY id OFFSET $1 LIMIT 1`,
      [tampering.startsWith("DELETE") ? 1 : 2],
    );
    return [problems.find(({ id: found }) => found === third.rows[0]?.id), third.rows[0]?.id];
  });

  expect(problem).toEqual({ kind, id, chain: problem?.chain, text: expect.stringMatching(text) });
  expect(problem?.text).toContain(`id ${id}`);
});

test.each([
  [`DELETE FROM runbooks_audit ${NTH(5)}`, "deleted", /^the last 1 of its 5 rows are missing/],
  ["DELETE FROM runbooks_audit WHERE chain = 'run_2'", "deleted", /^all of its 5 rows are missing/],
  [
    "UPDATE audit_heads SET hash = repeat('0', 64) WHERE chain = 'run_2'",
    "head changed",
    /^its head is not the hash of its last row/,
  ],
  ["DELETE FROM audit_heads WHERE chain = 'run_2'", "head changed", /^the chain has lost its head/],
])("%s: %s", async (tampering, kind, text) => {
  const problems = await afterTampering(
    owner,
    tampering,
    async () => (await verifyAudit(owner)).problems,
  );

  expect(problems).toMatchObject([{ kind, chain: "run_2", text: expect.stringMatching(text) }]);
});

test("a run whose whole chain is gone, head and all, is missed as long as the run is there", async () => {
  const run = `INSERT INTO runs (id, target_key, runbook, state, namespace, app, trigger, deadline_at, created_at)
    VALUES ('run_gone', 'k', 'r', 'failed', 's', 'a', '{}', now(), now() + interval '1 second')`;
  const problems = await afterTampering(
    owner,
    run,
    async () => (await verifyAudit(owner)).problems,
  );

  expect(problems).toEqual([
    { kind: "deleted", chain: "run_gone", id: null, text: "the run has no record at all" },
  ]);
});

test("the lowest of several bad rows is named first", async () => {
  const tampering =
    "UPDATE runbooks_audit SET actor = 'x' WHERE chain IN ('run_1', 'run_4') AND chain_row = 2";
  const [report, lowest] = await afterTampering(owner, tampering, async () => [
    await verifyAudit(owner),
    await owner.query("SELECT min(id)::text AS id FROM runbooks_audit WHERE actor = 'x'"),
  ]);

  expect(report.problemCount).toBe(2);
  expect(report.problems[0]?.id).toBe(lowest.rows[0]?.["id"]);
});

test("a period looks at the chains that were written in it only", async () => {
  const tampering = `WITH head AS (UPDATE audit_heads SET last_at = '2026-01-02', started_at = '2026-01-01' WHERE chain = 'run_1')
     UPDATE runbooks_audit SET actor = 'x' WHERE chain = 'run_1' AND chain_row = 2`;
  const [within, after, before] = await afterTampering(owner, tampering, async () => [
    await verifyAudit(owner, { to: new Date("2026-01-03") }),
    await verifyAudit(owner, { from: new Date("2026-01-03") }),
    await verifyAudit(owner, { to: new Date("2025-12-31") }),
  ]);

  expect([within.chains, within.problemCount]).toEqual([1, 1]);
  expect([after.chains, after.problemCount]).toEqual([10, 0]);
  expect([before.chains, before.problemCount]).toEqual([0, 0]);
});
