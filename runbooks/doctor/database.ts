import type { Log } from "../../lib/log.ts";
import { missingMigrations } from "../../lib/migrate.ts";
import { openDatabase, type Database, type Queryable } from "../../lib/postgres.ts";
import { auditStatus } from "../audit/status.ts";
import { failed, ok, warning, type DoctorCheck, type Look } from "./types.ts";

/** What the services are tested with from below; 13 is the oldest that has all that is used. */
const VERSION_MIN = 130_000;
const SKEW_WARN_S = 30;
/** Then Slack's clicks and signed alerts are refused. */
const SKEW_FAIL_S = 300;

export function checkDatabase(url: string, log: Log): DoctorCheck {
  return {
    area: "database",
    what: "connection",
    look: async () => {
      const database = openDatabase({ url, applicationName: "fettle-doctor", max: 2 }, log);
      try {
        return await lookAt(database);
      } finally {
        await database.close();
      }
    },
  };
}

async function lookAt(database: Database): Promise<readonly Look[]> {
  const server = await serverLooks(database);
  const missing = await missingMigrations(database);
  if (missing.length > 0) {
    const detail = `${missing.length} are missing, from ${missing[0] ?? ""}: run fettle migrate`;
    return [...server, failed("migrations", detail)];
  }
  return [
    ...server,
    ok("migrations", "all there"),
    await rightsLook(database),
    await recordRightsLook(database),
    await recordLook(database),
    ...(await instanceLooks(database)),
  ];
}

async function serverLooks(db: Queryable): Promise<readonly Look[]> {
  const before = Date.now();
  const { rows } = await db.query<{
    version: number;
    text: string;
    now: Date;
    fsync: string;
    role: string;
  }>(
    `SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS text,
            clock_timestamp() AS now, current_setting('fsync') AS fsync, current_user AS role`,
  );
  const after = Date.now();
  const [row] = rows;
  if (row === undefined) throw new Error("the server says nothing about itself");
  return [
    ok("connection", `as ${row.role}`),
    row.version >= VERSION_MIN
      ? ok("version", `PostgreSQL ${row.text}`)
      : failed("version", `PostgreSQL ${row.text}; 13 or later is needed`),
    clockLook("clock", secondsBeside(row.now.getTime(), before, after)),
    row.fsync === "on"
      ? ok("durability", "fsync is on")
      : failed("durability", "fsync is off: what is accepted may be lost in a power cut"),
  ];
}

/** 0 when the round trip may explain all of it. */
function secondsBeside(theirs: number, before: number, after: number): number {
  if (theirs >= before && theirs <= after) return 0;
  return (theirs < before ? before - theirs : after - theirs) / 1000;
}

function clockLook(what: string, seconds: number): Look {
  const detail = `${Math.abs(seconds).toFixed(1)} s ${seconds < 0 ? "behind" : "before"} the database's`;
  if (Math.abs(seconds) > SKEW_FAIL_S)
    return failed(what, `${detail}: Slack's clicks and signed alerts are refused`);
  return Math.abs(seconds) > SKEW_WARN_S ? warning(what, detail) : ok(what, detail);
}

/** Every table can be read and written, but for those that only the record's trigger writes. */
async function rightsLook(db: Queryable): Promise<Look> {
  const { rows } = await db.query<{ table: string }>(
    `SELECT schemaname || '.' || tablename AS table
       FROM pg_tables
      WHERE schemaname IN (current_schema(), 'pgboss') AND tablename NOT IN ('fettle_migrations', 'audit_heads', 'audit_chain_start')
        AND NOT (has_table_privilege(quote_ident(schemaname) || '.' || quote_ident(tablename), 'SELECT')
             AND has_table_privilege(quote_ident(schemaname) || '.' || quote_ident(tablename), 'INSERT'))
      ORDER BY 1`,
  );
  const names = rows.map(({ table }) => table);
  return names.length === 0
    ? ok("rights of the role", "reads and writes every table")
    : failed(
        "rights of the role",
        `repeat the grants of docs/operations.md; missing on ${names.join(", ")}`,
      );
}

/** A role that could rewrite the record is not what keeps it honest. */
async function recordRightsLook(db: Queryable): Promise<Look> {
  const { rows } = await db.query<{ table: string }>(
    `SELECT t AS table FROM unnest(ARRAY['runbooks_audit', 'audit_heads', 'audit_checkpoints']) t
      WHERE has_table_privilege(t, 'UPDATE') OR has_table_privilege(t, 'DELETE') OR has_table_privilege(t, 'TRUNCATE')`,
  );
  const names = rows.map(({ table }) => table);
  return names.length === 0
    ? ok("rights on the record", "append only")
    : warning(
        "rights on the record",
        `this role may change ${names.join(", ")}: give the services a role of their own (docs/operations.md)`,
      );
}

async function recordLook(db: Queryable): Promise<Look> {
  const { verifiedUpTo, checkedAt, problems } = await auditStatus(db);
  const [first] = problems;
  if (first !== undefined) return failed("the record", `${first.text}; run fettle audit verify`);
  if (verifiedUpTo === null) return warning("the record", "no executor has checked it so far");
  return ok(
    "the record",
    `sound up to ${verifiedUpTo.toISOString()}, checked ${checkedAt?.toISOString() ?? ""}`,
  );
}

/** The processes that have signed on. */
async function instanceLooks(db: Queryable): Promise<readonly Look[]> {
  const { rows } = await db.query<{ host: string; role: string; skew: number; version: string }>(
    `SELECT host, role, version, skew_ms::float8 / 1000 AS skew FROM instances
      WHERE seen_at > now() - interval '1 minute' ORDER BY host, role`,
  );
  if (rows.length === 0)
    return [warning("services", "no runbooks service has been seen for a minute")];
  return [
    ok(
      "services",
      rows.map(({ host, role, version }) => `${role} on ${host} (${version})`).join(", "),
    ),
    ...rows
      .filter(({ skew }) => Math.abs(skew) > SKEW_WARN_S)
      .map(({ host, skew }) => clockLook(`clock of ${host}`, skew)),
  ];
}
