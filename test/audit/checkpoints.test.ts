import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { Database } from "../../lib/postgres.ts";
import { verifyNote } from "../../lib/signed-note.ts";
import { appendAudit } from "../../runbooks/audit.ts";
import { lookAtRecord, makeCheckpoint, settledSince } from "../../runbooks/audit/checkpoint.ts";
import { checkpointUntil } from "../../runbooks/audit/keep-checkpoints.ts";
import { verifyAudit } from "../../runbooks/audit/verify.ts";
import { fettleHere } from "../cli/in-process.ts";
import { waitUntil } from "../fakes/fettle.ts";
import { recordingLog } from "../fakes/recording-log.ts";
import { createTestDatabase, openTestDatabase, type TestDatabase } from "../servers/postgres.ts";
import { afterTampering, connectOwner, givenOldRows, givenRecord, type Owner } from "./given.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const signer = { keyName: "fettle-audit", privateKey };
const verifiers = [{ keyName: "fettle-audit", publicKey }];

let testDatabase: TestDatabase;
let database: Database;
let owner: Owner;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "checkpoints-"));
});
beforeEach(async () => {
  await close();
  testDatabase = await createTestDatabase();
  database = openTestDatabase(testDatabase.url);
  owner = await connectOwner(testDatabase.url);
  await givenOldRows(owner, 3);
});
afterAll(async () => {
  await close();
  await rm(folder, { recursive: true });
});

async function close(): Promise<void> {
  if ((testDatabase as TestDatabase | undefined) === undefined) return;
  await owner.end();
  await database.close();
  await testDatabase.drop();
}

/** Now, as nobody else writes here. */
async function checkpoint(signed = true, minutes = 0) {
  const { lastId } = await lookAtRecord(database);
  if (lastId === null) throw new Error("the record is empty");
  const asked = { settled: { lastId }, minutes, signer: signed ? signer : undefined };
  return makeCheckpoint(asked, database);
}

const NOBODY = { id: null, namespace: null, app: null, targetKey: null };

test("covers what was written since the one before it, signed, and can be built anew", async () => {
  await givenRecord(owner, 3, 2);
  const first = await checkpoint();
  const none = await checkpoint();
  await appendAudit(database, NOBODY, [{ event: "disabled", actor: "ana" }]);
  const tooEarly = await checkpoint(true, 5);
  const second = await checkpoint();

  expect(first).toMatchObject({ number: "1", rows: "8" });
  expect([none, tooEarly]).toEqual([undefined, undefined]);
  expect(second).toMatchObject({ number: "2", rows: "1" });
  expect(verifyNote(second?.note ?? "", verifiers).text).toContain(second?.root);
  expect(await verifyAudit(database, { verifiers })).toMatchObject({
    checkpoints: 2,
    rowsBefore: 3,
    problemCount: 0,
  });
});

test("counts on past nine: numbers and ids are no texts", async () => {
  for (let nth = 1; nth <= 11; nth += 1) {
    await appendAudit(database, NOBODY, [{ event: "disabled", actor: "ana" }]);
    expect(await checkpoint()).toMatchObject({ number: String(nth), rows: "1" });
  }

  expect(await verifyAudit(database)).toMatchObject({ checkpoints: 11, problemCount: 0 });
});

test("a chain that was computed anew by somebody who knows how is found by its checkpoint", async () => {
  await givenRecord(owner, 1, 1);
  await checkpoint();
  const forge = "UPDATE runbooks_audit SET actor = 'mallory' WHERE chain = 'run_0'";
  const problems = await afterTampering(owner, forge, async () => {
    await owner.run(
      `UPDATE runbooks_audit a SET hash = audit_row_hash(a, chain_row, prev_hash) WHERE chain = 'run_0';
       UPDATE audit_heads h SET hash = a.hash FROM runbooks_audit a WHERE h.chain = 'run_0' AND a.chain = 'run_0'`,
    );
    return (await verifyAudit(owner, { verifiers })).problems;
  });

  expect(problems).toEqual([
    {
      kind: "checkpoint",
      chain: null,
      id: null,
      text: expect.stringMatching(/^checkpoint 1: the rows up to id \d+ are not those/),
    },
  ]);
});

test.each([
  [
    "a row that vanished together with its head",
    "WITH gone AS (DELETE FROM audit_heads WHERE chain LIKE 'tx:%') DELETE FROM runbooks_audit WHERE chain LIKE 'tx:%'",
    /^checkpoint 1: 4 rows were there up to id \d+, now 2 are/,
  ],
  [
    "a checkpoint that was taken out",
    "DELETE FROM audit_checkpoints WHERE number = 1",
    /^checkpoint 2: the one before it is missing/,
  ],
  [
    "a checkpoint that was written anew without the key",
    "UPDATE audit_checkpoints SET note = split_part(note, E'\\n\\n', 1) || E'\\n' WHERE number = 2",
    /^checkpoint 2: not a signed note: made before AUDIT_SIGNING_KEY_FILE was set, or its signature was taken away/,
  ],
  [
    "a note that says something else",
    "UPDATE audit_checkpoints SET note = replace(note, '1 rows', '2 rows') WHERE number = 2",
    /^checkpoint 2: its note says something else/,
  ],
])("%s is found", async (_, tampering, text) => {
  await givenRecord(owner, 1, 2);
  await checkpoint();
  await appendAudit(database, NOBODY, [{ event: "enabled", actor: "ana" }]);
  await checkpoint();
  const problems = await afterTampering(
    owner,
    tampering.replace(
      "chain LIKE 'tx:%'",
      "chain = ANY (ARRAY(SELECT chain FROM runbooks_audit WHERE event = 'disabled'))",
    ),
    async () => (await verifyAudit(owner, { verifiers })).problems,
  );

  const [found] = problems.filter(({ kind }) => kind === "checkpoint");
  expect(found?.text).toMatch(text);
});

test("waits for whoever had drawn a lower id", async () => {
  await appendAudit(database, NOBODY, [{ event: "disabled", actor: "ana" }]);
  let commit: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    commit = resolve;
  });
  let drawn: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    drawn = resolve;
  });
  const slow = database.inTransaction(async (tx) => {
    await appendAudit(tx, NOBODY, [{ event: "enabled", actor: "slow" }]);
    drawn();
    await held;
  });
  await begun;
  await appendAudit(database, NOBODY, [{ event: "disabled", actor: "fast" }]);

  const then = await lookAtRecord(database);
  const meanwhile = settledSince(then, await lookAtRecord(database));
  commit();
  await slow;
  // Whoever writes in another database of this server counts as well, and ends soon.
  let after: ReturnType<typeof settledSince>;
  await waitUntil("the writers' end", async () => {
    after = settledSince(then, await lookAtRecord(database));
    return after !== undefined;
  });

  expect(settledSince(undefined, then)).toBeUndefined();
  expect(meanwhile).toBeUndefined();
  expect(after).toEqual({ lastId: then.lastId });
});

test("the service makes one when all who wrote have ended, and prints it where the owner cannot reach it", async () => {
  await givenRecord(owner, 2, 1);
  const log = recordingLog();
  const stopping = new AbortController();
  let [looks, after] = [0, 0];
  // A minute passes at once; the look after the checkpoint finds that it is young. Other tests' writers may hold it up.
  const sleep = async () => {
    looks += 1;
    if (log.text().includes("audit checkpoint")) after += 1;
    if (after === 2 || looks === 600) stopping.abort();
    if (looks > 3) await new Promise((resolve) => setTimeout(resolve, 50));
  };

  const clock = { now: () => new Date(), sleep };
  await checkpointUntil(stopping.signal, { database, clock, log, signer });

  const { rows } = await owner.query("SELECT number::int, rows::int FROM audit_checkpoints");
  expect(rows).toEqual([{ number: 1, rows: 3 }]);
  expect(log.text()).toMatch(/^info audit checkpoint number=1 .*— fettle-audit /s);
  expect(await verifyAudit(database, { verifiers })).toMatchObject({ problemCount: 0 });
});

test("on the command line a wrong key is 1, the right one 0", async () => {
  await givenRecord(owner, 1, 1);
  await checkpoint();
  const [right, wrong] = [join(folder, "right.pem"), join(folder, "wrong.pem")];
  await writeFile(right, publicKey.export({ type: "spki", format: "pem" }));
  const other = generateKeyPairSync("ed25519").publicKey;
  await writeFile(wrong, other.export({ type: "spki", format: "pem" }));
  const env = { AIOPS_DATABASE_URL: testDatabase.url };
  const verify = async (key: string) => fettleHere(["audit", "verify", "--pub", key], env);

  expect(await verify(right)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("1 checkpoints"),
  });
  expect(await verify(wrong)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("checkpoint 1: no signature of the given keys"),
  });
  expect(await verify(join(folder, "none.pem"))).toMatchObject({ code: 1, stdout: "" });
});
