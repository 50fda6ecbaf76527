import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { openJobs } from "../../lib/jobs.ts";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { isUnavailable, openDatabase, type Database } from "../../lib/postgres.ts";
import {
  createTestDatabase,
  startPrivatePostgres,
  type PrivatePostgres,
  type TestDatabase,
} from "../servers/postgres.ts";

let testDatabase: TestDatabase;
let database: Database;
let privateServer: PrivatePostgres | undefined;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = open(testDatabase.url);
});

afterEach(async () => {
  await privateServer?.remove();
  privateServer = undefined;
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

function open(url: string): Database {
  return openDatabase({ url, applicationName: "test" }, silentLog);
}

test("commits what the work did, and nothing of it when the work fails", async () => {
  await database.query("CREATE TABLE numbers (n int)");

  await database.inTransaction(async (tx) => tx.query("INSERT INTO numbers VALUES (1)"));
  const failing = database.inTransaction(async (tx) => {
    await tx.query("INSERT INTO numbers VALUES (2)");
    throw new Error("no");
  });

  await expect(failing).rejects.toThrow("no");
  expect((await database.query("SELECT n FROM numbers")).rows).toEqual([{ n: 1 }]);
});

test("survives a restart of the server: errors meanwhile say unavailable, later queries work", async () => {
  privateServer = await startPrivatePostgres();
  const own = open(privateServer.url);
  await own.ping();

  await privateServer.stop("immediate");
  const error: unknown = await own.ping().catch((reason: unknown) => reason);
  await privateServer.start();

  expect(isUnavailable(error)).toBe(true);
  await expect(own.ping()).resolves.toBeUndefined();
  await own.close();
});

test("a role that may not log in, as while its password is changed, is a database that is away", async () => {
  const url = new URL(testDatabase.url);
  url.username = `${url.pathname.slice(1)}_out`;
  await database.query(`CREATE ROLE ${url.username} NOLOGIN`);
  const shutOut = open(url.href);

  const error: unknown = await shutOut.ping().catch((reason: unknown) => reason);
  await shutOut.close();
  await database.query(`DROP ROLE ${url.username}`);

  expect(error).toMatchObject({ code: "28000" }); // 28P01 when the password is another
  expect(isUnavailable(error)).toBe(true);
});

test("gives up on a frozen server within its time limits", async () => {
  privateServer = await startPrivatePostgres();
  const own = openDatabase(
    { url: privateServer.url, applicationName: "test", statementTimeoutMs: 500 },
    silentLog,
  );
  await own.ping();
  privateServer.freeze();
  const start = performance.now();

  const error: unknown = await own.ping().catch((reason: unknown) => reason);

  expect(isUnavailable(error)).toBe(true);
  expect(performance.now() - start).toBeLessThan(4_000);
  privateServer.thaw();
  await own.close();
});

test("two instances that start at once on an empty database make one migration", async () => {
  privateServer = await startPrivatePostgres();
  const { url } = privateServer;

  const applied = await Promise.all([
    migrate(url, silentLog),
    migrate(url, silentLog),
    migrate(url, silentLog),
  ]);

  expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
});

test("only says what a dry run would apply", async () => {
  privateServer = await startPrivatePostgres();
  const { url } = privateServer;

  const planned = await migrate(url, silentLog, { dryRun: true });

  expect(planned).toContain("0001_runbooks");
  expect(await migrate(url, silentLog)).toEqual(planned);
});

test("the audit trail takes new rows and refuses every change of old ones", async () => {
  await database.query("INSERT INTO runbooks_audit (event, actor) VALUES ('request', 'test')");

  for (const statement of [
    "UPDATE runbooks_audit SET actor = 'x'",
    "DELETE FROM runbooks_audit",
    "TRUNCATE runbooks_audit",
  ]) {
    await expect(database.query(statement)).rejects.toThrow("runbooks_audit is append-only");
  }
});

test("a job that is sent in a transaction vanishes with it", async () => {
  const jobs = await openJobs(testDatabase.url, silentLog, { sendOnly: true });
  const send = async (work: () => void) =>
    database.inTransaction(async (tx) => {
      await jobs.send(tx, "runbooks-run", { runId: "x" });
      work();
    });

  await send(() => undefined);
  await expect(
    send(() => {
      throw new Error("rolled back");
    }),
  ).rejects.toThrow("rolled back");
  await jobs.stop();

  expect(
    (await database.query("SELECT 1 FROM pgboss.job WHERE name = 'runbooks-run'")).rowCount,
  ).toBe(1);
});

test("the documented role without the right to create tables is enough to run the services", async () => {
  const role = `app_${process.pid}`;
  await database.query(`CREATE ROLE ${role} LOGIN`);
  for (const schema of ["public", "pgboss"]) {
    await database.query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`);
    await database.query(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
    );
    await database.query(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${role}`);
    await database.query(`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO ${role}`);
  }
  await database.query(
    `REVOKE UPDATE, DELETE, TRUNCATE ON runbooks_audit, audit_checkpoints FROM ${role};
     REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON audit_heads, audit_chain_start FROM ${role}`,
  );
  const url = Object.assign(new URL(testDatabase.url), { username: role }).href;

  const jobs = await openJobs(url, silentLog);
  const own = open(url);
  const worked = new Promise<{ runId: string }>((resolve) => {
    void jobs.work<{ runId: string }>("runbooks-inbox", async (data) => {
      resolve(data);
    });
  });
  await own.inTransaction(async (tx) => {
    await tx.query("INSERT INTO runbooks_audit (event, actor) VALUES ('request', 'app')");
    await jobs.send(tx, "runbooks-inbox", { runId: "y" });
  });

  expect(await worked).toEqual({ runId: "y" });
  await expect(own.query("CREATE TABLE public.mine (n int)")).rejects.toThrow(/permission denied/);
  await expect(own.query("DELETE FROM runbooks_audit")).rejects.toThrow(/permission denied/);
  await jobs.stop();
  await own.close();
  const admin = new pg.Client({ connectionString: testDatabase.url });
  await admin.connect();
  await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await admin.end();
});
