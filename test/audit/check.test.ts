import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { systemClock } from "../../lib/clock.ts";
import type { Database } from "../../lib/postgres.ts";
import { checkUntil, checkWhenDue } from "../../runbooks/audit/check.ts";
import { auditStatus, type AuditStatus } from "../../runbooks/audit/status.ts";
import { recordingLog } from "../fakes/recording-log.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { connectOwner, givenRecord, type Owner } from "./given.ts";

let testDatabase: TestDatabase;
let database: Database;
let owner: Owner;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  owner = await connectOwner(testDatabase.url);
  await givenRecord(owner, 3, 2);
});
afterAll(async () => {
  await owner.end();
  await database.close();
  await testDatabase.drop();
});

const { signal } = new AbortController();
const depsOf = (log = recordingLog()) => {
  return { database, clock: systemClock, log, known: () => undefined };
};

test("before anybody has looked nothing is known", async () => {
  expect(await auditStatus(database)).toEqual({
    verifiedUpTo: null,
    checkedAt: null,
    rows: 0,
    problems: [],
    checkpoint: null,
    checkpointAt: null,
  });
});

test("of many replicas one looks, and all know what it found", async () => {
  const deps = depsOf();
  const reports = await Promise.all(
    Array.from({ length: 8 }, async () => checkWhenDue(signal, deps)),
  );

  expect(reports.filter((report) => report !== undefined)).toMatchObject([
    { rows: 8, problemCount: 0 },
  ]);
  const { verifiedUpTo, checkedAt, rows, problems } = await auditStatus(database);
  expect([rows, problems]).toEqual([8, []]);
  expect(checkedAt?.getTime()).toBeGreaterThanOrEqual(verifiedUpTo?.getTime() ?? Infinity);
});

test("an hour later it looks again, tells of the first bad row as an error, and nothing counts as verified", async () => {
  await owner.run(
    `UPDATE audit_checks SET started_at = started_at - interval '61 minutes';
     ALTER TABLE runbooks_audit DISABLE TRIGGER ALL;
     UPDATE runbooks_audit SET actor = 'mallory' WHERE chain = 'run_1' AND chain_row = 2`,
  );
  const log = recordingLog();
  const known: AuditStatus[] = [];
  const stopping = new AbortController();

  await checkUntil(stopping.signal, {
    ...depsOf(log),
    known: (status) => {
      known.push(status);
      stopping.abort();
    },
  });

  expect(known).toMatchObject([
    { verifiedUpTo: null, problems: [{ kind: "edited", chain: "run_1" }] },
  ]);
  expect(log.text()).toContain("error the record was tampered with problems=1");
});

test("an unfinished look of a process that died is made up for after the hour", async () => {
  await owner.run(
    "UPDATE audit_checks SET started_at = started_at - interval '61 minutes', finished_at = NULL",
  );

  expect(await checkWhenDue(signal, depsOf())).toMatchObject({ problemCount: 1 });
});
