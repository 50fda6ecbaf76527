import pg from "pg";
import { codeOf, messageOf } from "./error.ts";
import type { Log } from "./log.ts";

export interface Queryable {
  query<Row extends object = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<{ rows: Row[]; rowCount: number }>;
}

interface TransactionOptions {
  readonly isolation?: "read committed" | "repeatable read";
  readonly readOnly?: boolean;
}

export interface Database extends Queryable {
  /** Commits when `work` returns, rolls back when it throws. The error of a lost connection comes through unchanged. */
  inTransaction<T>(work: (tx: Queryable) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** Lends a raw connection, for COPY streams. It is thrown away, not reused, when `work` throws. */
  withConnection<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T>;
  /** @throws when the server cannot be reached within the connect timeout, or takes no writes (SQLSTATE 25006) */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  readonly applicationName: string;
  /** Connections at most; the default leaves room for four services on a server's 100. */
  readonly max?: number;
  readonly statementTimeoutMs?: number;
  /** For a connection to be made, or given back by somebody else. */
  readonly connectTimeoutMs?: number;
}

/** SQLSTATE read_only_sql_transaction: a replica, or a server that an operator has set so. */
const READ_ONLY = "25006";

const SESSION = [
  // A server may be set up to confirm a commit before it is on disk; what we say is stored must survive its crash.
  "synchronous_commit=on",
  // When the network dies without a word the server's side of a connection must not stay for hours, as is its default.
  "tcp_keepalives_idle=30",
  "tcp_keepalives_interval=10",
  "tcp_keepalives_count=3",
] as const;

/** A frozen server must turn into a 503, not into a queue of waiting requests. */
const CONNECT_TIMEOUT_MS = 2_000;
const STATEMENT_TIMEOUT_MS = 3_000;

/**
 * A pool that survives a server restart: a broken idle connection is logged and replaced, a broken query fails with the
 * driver's error and the next one gets a fresh connection.
 */
export function openDatabase(options: DatabaseOptions, log: Log): Database {
  const { url, applicationName, max = 10 } = options;
  const { statementTimeoutMs = STATEMENT_TIMEOUT_MS, connectTimeoutMs = CONNECT_TIMEOUT_MS } =
    options;
  const pool = new pg.Pool({
    connectionString: url,
    application_name: applicationName,
    max,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    // The server cannot enforce its own timeout when it is frozen: the client gives up a little later by itself.
    query_timeout: statementTimeoutMs + 1_000,
    idle_in_transaction_session_timeout: 30_000,
    keepAlive: true,
    options: SESSION.map((setting) => `-c ${setting}`).join(" "),
  });
  // Without a listener, an idle connection that the server closes would end the process.
  pool.on("error", (error) => {
    log.warn("idle database connection lost", { error });
  });
  return {
    query: async (sql, values) => run(pool, sql, values),
    inTransaction: async (work, options) =>
      withClient(pool, async (client) => transact(client, work, options)),
    withConnection: async (work) => withClient(pool, work),
    ping: async () => {
      const { rows } = await pool.query<{ readonly: string }>(
        "SELECT current_setting('transaction_read_only') AS readonly",
      );
      if (rows[0]?.readonly === "on")
        throw Object.assign(new Error("the database takes no writes"), { code: READ_ONLY });
    },
    close: async () => pool.end(),
  };
}

async function run<Row extends object>(
  runner: pg.Pool | pg.PoolClient,
  sql: string,
  values: readonly unknown[] = [],
): Promise<{ rows: Row[]; rowCount: number }> {
  const { rows, rowCount } = await runner.query<Row & pg.QueryResultRow>(sql, [...values]);
  return { rows, rowCount: rowCount ?? 0 };
}

async function withClient<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  const ignore = () => undefined; // a connection lost in mid-query rejects the query; the event would end the process
  client.on("error", ignore);
  let failed = true;
  try {
    const result = await work(client);
    failed = false;
    return result;
  } finally {
    client.off("error", ignore);
    client.release(failed);
  }
}

async function transact<T>(
  client: pg.PoolClient,
  work: (tx: Queryable) => Promise<T>,
  { isolation = "read committed", readOnly = false }: TransactionOptions = {},
): Promise<T> {
  await client.query(
    `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()}${readOnly ? " READ ONLY" : ""}`,
  );
  // On an error nothing is sent any more: withClient drops the connection, which rolls back on the server.
  const result = await work({ query: async (sql, values) => run(client, sql, values) });
  await client.query("COMMIT");
  return result;
}

/**
 * True for errors that say "no database now" (down, starting, read-only, out of connections, timed out, a password that is being
 * changed), not "bad query".
 */
export function isUnavailable(error: unknown): boolean {
  const code = codeOf(error);
  return (
    /^(08|28|53|57P|25006|57014)/.test(code) || // SQLSTATE: connection, login, resources, shutdown, read-only, timeout
    /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH)/.test(code) ||
    /timeout|Connection terminated|connection error|connection is closed/i.test(messageOf(error))
  );
}
