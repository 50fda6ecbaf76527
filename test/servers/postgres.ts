import { randomUUID } from "node:crypto";
import pg from "pg";
import { initialisePostgres, postgresUrl, startPostgres } from "../../ops/test/postgres.ts";
import { silentLog } from "../../lib/log.ts";
import { migrate } from "../../lib/migrate.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { fromRun, placeServer, programPath } from "./unprivileged.ts";

const TEMPLATE = "fettle_template";
/** Any number that nobody else locks; only one test process makes the template, the others wait for it. */
const TEMPLATE_LOCK = 7_305_002;

/** A migrated database that belongs to one test file. */
export interface TestDatabase {
  readonly url: string;
  /** Removes it, with whatever is still connected; a second call does nothing. */
  readonly drop: () => Promise<void>;
}

/** Makes a database by copying the migrated template, which takes a tenth of the time of migrating. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = fromRun("FETTLE_TEST_POSTGRES_URL");
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await asAdmin(server, async (admin) => {
    await ensureTemplate(server, admin);
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  });
  return {
    url: databaseUrl(server, name),
    drop: () =>
      asAdmin(server, async (admin) => {
        await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }),
  };
}

/** Long enough for a machine that is busy with something else; what is to be refused in time is tested with services. */
const PATIENCE_MS = 60_000;

/** A test's own connections, or those of a part of the product that is tested without its service. */
export function openTestDatabase(url: string, max = 20): Database {
  const patience = { statementTimeoutMs: PATIENCE_MS, connectTimeoutMs: PATIENCE_MS };
  return openDatabase({ url, applicationName: "test", max, ...patience }, silentLog);
}

/**
 * A database without any table, for what makes its own.
 *
 * @param encoding in place of the server's
 */
export async function createEmptyDatabase({
  encoding = "UTF8",
}: { encoding?: string } = {}): Promise<TestDatabase> {
  const server = fromRun("FETTLE_TEST_POSTGRES_URL");
  const name = `empty_${randomUUID().replaceAll("-", "")}`;
  await asAdmin(server, async (admin) => {
    const other = encoding === "UTF8" ? "" : ` ENCODING ${encoding} LOCALE 'C' TEMPLATE template0`;
    await admin.query(`CREATE DATABASE ${name}${other}`);
  });
  return {
    url: databaseUrl(server, name),
    drop: () =>
      asAdmin(server, async (admin) => {
        await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }),
  };
}

/** The mark `datistemplate` is set last: a template that a killed test left half migrated is made again. */
async function ensureTemplate(server: string, admin: pg.Client): Promise<void> {
  await admin.query("SELECT pg_advisory_lock($1)", [TEMPLATE_LOCK]);
  try {
    const { rowCount } = await admin.query(
      "SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate",
      [TEMPLATE],
    );
    if (rowCount === 1) return;
    await admin.query(`DROP DATABASE IF EXISTS ${TEMPLATE} WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${TEMPLATE}`);
    await migrate(databaseUrl(server, TEMPLATE), silentLog);
    await admin.query(`ALTER DATABASE ${TEMPLATE} IS_TEMPLATE true`);
  } finally {
    await admin.query("SELECT pg_advisory_unlock($1)", [TEMPLATE_LOCK]);
  }
}

async function asAdmin(url: string, work: (admin: pg.Client) => Promise<void>): Promise<void> {
  const admin = new pg.Client({ connectionString: url, application_name: "test-admin" });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

function databaseUrl(server: string, name: string): string {
  return Object.assign(new URL(server), { pathname: `/${name}` }).href;
}

/** A PostgreSQL server of its own, for tests that stop, kill or freeze it. Its port and data outlive a stop. */
export interface PrivatePostgres {
  /** An empty database: a fault test migrates it itself. */
  readonly url: string;
  /** "fast" ends the sessions in order (57P01), "immediate" is as good as a power cut. */
  readonly stop: (how: "fast" | "immediate") => Promise<void>;
  readonly start: () => Promise<void>;
  /** Connections stay open and nothing answers, as with a hung disk. */
  readonly freeze: () => void;
  readonly thaw: () => void;
  /** Stops it for good. */
  readonly remove: () => Promise<void>;
}

export async function startPrivatePostgres(): Promise<PrivatePostgres> {
  const place = await placeServer("postgres");
  await initialisePostgres(programPath("INITDB"), place);
  let running = await startPostgres(programPath("POSTGRES"), place);
  return {
    url: postgresUrl(place.port),
    stop: (how) => running.stop(how === "fast" ? "SIGINT" : "SIGQUIT"),
    start: async () => {
      running = await startPostgres(programPath("POSTGRES"), place);
    },
    freeze: () => {
      running.freeze();
    },
    thaw: () => {
      running.thaw();
    },
    remove: () => running.stop("SIGQUIT"),
  };
}
