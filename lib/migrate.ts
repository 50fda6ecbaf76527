import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { runner } from "node-pg-migrate";
import { failpoint } from "./failpoint.ts";
import { installJobs } from "./jobs.ts";
import type { Log } from "./log.ts";
import type { Queryable } from "./postgres.ts";

const SQL_FOLDER = fileURLToPath(new URL("../sql", import.meta.url));

/** Every queue of the job engine; a service may only send to one that is listed here. */
const QUEUES = ["runbooks-inbox", "runbooks-run", "runbooks-collect"] as const;

/** Rows of this table are the migrations that a database has. */
const MIGRATIONS_TABLE = "fettle_migrations";

/**
 * Applies the forward-only migrations `sql/NNNN_name.sql` that are missing, all in one transaction, under the library's
 * advisory lock: two instances that start at once on an empty database make one migration, the other waits.
 *
 * Needs a role that may create tables; the services themselves run with a role that may not (docs/operations.md).
 *
 * @returns the names of the migrations applied now
 */
export async function migrate(
  url: string,
  log: Log,
  options: { readonly dryRun?: boolean } = {},
): Promise<readonly string[]> {
  const applied = await runner({
    databaseUrl: url,
    dir: SQL_FOLDER,
    direction: "up",
    singleTransaction: true, // its own command line's default, not that of this function
    migrationsTable: MIGRATIONS_TABLE,
    dryRun: options.dryRun ?? false,
    advisoryLockMode: "wait",
    ignorePattern: "(?!\\d{4}_).*",
    logger: {
      debug: () => undefined,
      info: (message) => {
        if (message.startsWith("### MIGRATION")) void failpoint("migrating"); // one begins
      },
      warn: (message) => {
        log.warn("migration warning", { detail: message });
      },
      error: (message) => {
        log.error("migration failed", { detail: message });
      },
    },
  });
  if (options.dryRun !== true) await installJobs(url, QUEUES);
  const names = applied.map(({ name }) => name);
  if (names.length > 0)
    log.info("database migrated", { applied: names, dryRun: options.dryRun ?? false });
  return names;
}

/** The names of the migrations that a database lacks; all when it has none. */
export async function missingMigrations(db: Queryable): Promise<readonly string[]> {
  const files = await readdir(SQL_FOLDER);
  const names = files
    .filter((file) => /^\d{4}_.*\.sql$/.test(file))
    .map((file) => file.slice(0, -4));
  const { rows: tables } = await db.query<{ here: boolean }>(
    "SELECT to_regclass($1) IS NOT NULL AS here",
    [MIGRATIONS_TABLE],
  );
  if (tables[0]?.here !== true) return names.sort();
  const { rows } = await db.query<{ name: string }>(`SELECT name FROM ${MIGRATIONS_TABLE}`);
  const applied = new Set(rows.map(({ name }) => name));
  return names.filter((name) => !applied.has(name)).sort();
}
