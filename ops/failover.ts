// `make failover`: makes the standby (FAILOVER_DATABASE_URL) the primary, unless the old one (AIOPS_DATABASE_URL) still takes writes.
// Both addresses are of a role that may call pg_promote(). FAILOVER_FORCE=yes skips the question about the old primary: only when it
// is known to be off (a primary that comes back is a second one).
import pg from "pg";

const CONNECT_TIMEOUT_MS = 10_000;
const PROMOTE_SECONDS = 60;

const { AIOPS_DATABASE_URL, FAILOVER_DATABASE_URL, FAILOVER_FORCE } = process.env;

try {
  process.stdout.write(`${await failOver()}\n`);
} catch (error) {
  process.stderr.write(`failover: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function failOver(): Promise<string> {
  if (FAILOVER_DATABASE_URL === undefined || FAILOVER_DATABASE_URL === "")
    throw new Error("FAILOVER_DATABASE_URL: needs the standby's address");
  if (FAILOVER_FORCE !== "yes" && (await takesWrites(AIOPS_DATABASE_URL)))
    throw new Error(
      "the primary still takes writes: stop it first (two primaries are worse than none)",
    );
  return withClient(FAILOVER_DATABASE_URL, async (standby) => {
    const before = await read<{ standby: boolean; lag: number | null }>(
      standby,
      `SELECT pg_is_in_recovery() AS standby,
         extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 AS lag`,
    );
    if (!before.standby)
      throw new Error("FAILOVER_DATABASE_URL is no standby: it takes writes already");
    const { done } = await read<{ done: boolean }>(
      standby,
      `SELECT pg_promote(true, ${PROMOTE_SECONDS}) AS done`,
    );
    if (!done) throw new Error(`the standby was not promoted within ${PROMOTE_SECONDS} s`);
    const after = await read<{ standby: boolean }>(
      standby,
      "SELECT pg_is_in_recovery() AS standby",
    );
    if (after.standby) throw new Error("the standby says that it was promoted and still follows");
    const age =
      before.lag === null
        ? "nothing replayed since its start"
        : `${before.lag.toFixed(1)} s since the last replayed change`;
    return `promoted (${age}); now point the services' AIOPS_DATABASE_URL at it`;
  });
}

/** One that cannot be reached takes none, as far as anybody can say from here. */
async function takesWrites(url: string | undefined): Promise<boolean> {
  if (url === undefined || url === "")
    throw new Error("AIOPS_DATABASE_URL: needs the old primary's address");
  try {
    const { writable } = await withClient(url, async (primary) =>
      read<{ writable: boolean }>(
        primary,
        "SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off' AS writable",
      ),
    );
    return writable;
  } catch {
    return false;
  }
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function read<Row extends object>(client: pg.Client, sql: string): Promise<Row> {
  const { rows } = await client.query<Row>(sql);
  const [row] = rows;
  if (row === undefined) throw new Error(`no answer to ${sql}`);
  return row;
}
