import { spawn, type ChildProcess } from "node:child_process";
import pg from "pg";
import type { Secret } from "../../lib/secret.ts";
import type { Dump } from "../backup-parts.ts";
import type { BackupManifest } from "../backup-manifest.ts";
import type { Restoring } from "../restore-backup.ts";

const WORDS_MAX = 2_000;
/** Time for a cancelled query to end; a server that hangs does not answer the request for it. */
const END_TIMEOUT_MS = 10_000;

/** Parameters of an address as libpq's tools read them from the environment, where no other user of the machine sees them. */
const PARAMETERS: Readonly<Record<string, string>> = {
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  application_name: "PGAPPNAME",
  connect_timeout: "PGCONNECT_TIMEOUT",
  options: "PGOPTIONS",
  host: "PGHOST",
};

/**
 * The variables by which pg_dump and psql reach the database of this address: a password never stands in a command line.
 *
 * @throws Error naming a parameter that cannot be passed on
 */
function libpqEnvironment(address: Secret): Readonly<Record<string, string>> {
  const url = new URL(address.reveal());
  const variables: Record<string, string> = {};
  const set = (name: string, value: string) => {
    if (value !== "") variables[name] = decodeURIComponent(value);
  };
  set("PGHOST", url.hostname.replace(/^\[(.*)\]$/, "$1"));
  set("PGPORT", url.port);
  set("PGUSER", url.username);
  set("PGPASSWORD", url.password);
  set("PGDATABASE", url.pathname.slice(1));
  for (const [name, value] of url.searchParams) {
    const variable = PARAMETERS[name];
    if (variable === undefined)
      throw new Error(`AIOPS_DATABASE_URL: pg_dump takes no parameter ${name}`);
    variables[variable] = value;
  }
  return { ...variables, ...tlsVariables(variables, process.env) };
}

/**
 * The service's driver checks the server's certificate and name in every mode but `disable` and `no-verify`; libpq would talk to
 * anybody in some of these (`prefer`, `require`), and get the password and all rows taken away.
 *
 * @param environment PGSSLMODE, which the driver obeys where the address says nothing of TLS, and Node's additional CAs
 */
function tlsVariables(
  { PGSSLMODE, PGSSLROOTCERT, PGSSLCERT, PGSSLKEY }: Readonly<Record<string, string | undefined>>,
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const asked = [PGSSLMODE, PGSSLROOTCERT, PGSSLCERT, PGSSLKEY].some((each) => each !== undefined);
  const mode = asked ? (PGSSLMODE ?? "verify-full") : environment["PGSSLMODE"];
  if (mode === undefined) return {};
  if (mode === "disable") return { PGSSLMODE: mode };
  if (mode === "no-verify") return { PGSSLMODE: "require" }; // libpq's word for it
  // `system` are those of the operating system, of libpq 16 and newer; an older one finds no such file, and says so.
  const roots = PGSSLROOTCERT ?? environment["NODE_EXTRA_CA_CERTS"] ?? "system";
  return { PGSSLMODE: "verify-full", PGSSLROOTCERT: roots };
}

/** @throws (by `ended`) with pg_dump's words, or that it is not installed */
export function dumpDatabase(address: Secret): Dump {
  const child = start("pg_dump", ["--format=custom", "--no-password"], address);
  if (child.stdout === null) throw new Error("pg_dump has no output");
  const { stdout } = child;
  return {
    stdout,
    ended: endOf(child, "pg_dump"),
    abandon: () => {
      stdout.destroy(); // while somebody may still read it, the end is not told
      end(child);
    },
  };
}

/** Objects belong to whoever restores: in a new place the roles of the old one need not be there. */
export function restoreDatabaseFrom(address: Secret): Restoring {
  const { PGDATABASE = "" } = libpqEnvironment(address);
  const options = [
    "--single-transaction",
    "--exit-on-error",
    "--no-owner",
    "--no-privileges",
    "--no-password",
  ];
  const child = start("pg_restore", [...options, `--dbname=${PGDATABASE}`], address);
  if (child.stdin === null) throw new Error("pg_restore has no input");
  child.stdin.on("error", () => undefined); // it gave up; its exit says why
  return {
    stdin: child.stdin,
    ended: endOf(child, "pg_restore"),
    abandon: () => {
      end(child);
    },
  };
}

/** Which database this is, also where several clusters have one of the same name. */
export async function identifyDatabase(address: Secret): Promise<BackupManifest["database"]> {
  const [row] = await ask<BackupManifest["database"]>(
    address,
    "SELECT system_identifier::text AS system, current_database()::text AS name FROM pg_control_system()",
  );
  if (row === undefined) throw new Error("the database does not say which one it is");
  return row;
}

/** How many tables, views and sequences a database has that are not PostgreSQL's own. */
export async function countRelations(address: Secret): Promise<number> {
  const [row] = await ask<{ count: number }>(
    address,
    `SELECT count(*)::int AS count FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'`,
  );
  return row?.count ?? 0;
}

async function ask<Row extends object>(address: Secret, sql: string): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString: address.reveal() });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

function start(program: string, args: readonly string[], address: Secret): ChildProcess {
  const env = {
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    LC_ALL: "C.UTF-8",
    ...libpqEnvironment(address),
  };
  return spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"] });
}

function end(child: ChildProcess): void {
  child.kill("SIGTERM");
  setTimeout(() => child.kill("SIGKILL"), END_TIMEOUT_MS).unref();
}

async function endOf(child: ChildProcess, program: string): Promise<void> {
  let words = "";
  child.stderr?.on(
    "data",
    (chunk: Buffer) => (words = (words + chunk.toString()).slice(-WORDS_MAX)),
  );
  return new Promise((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      const hint =
        error.code === "ENOENT"
          ? " (Debian: postgresql-client, at least as new as the server)"
          : "";
      reject(new Error(`${program} cannot be run: ${error.message}${hint}`));
    });
    child.once("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${program} ended with ${signal ?? code ?? "?"}: ${words.trim()}`));
    });
  });
}
