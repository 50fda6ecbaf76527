import type { Environment } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import { openDatabase, type Database } from "../../lib/postgres.ts";
import { readRunbooksConfig, type RunbooksConfig } from "../config.ts";

/** Opens the database for one command. @throws ConfigError */
export async function withDatabase<T>(
  env: Environment,
  log: Log,
  work: (database: Database, config: RunbooksConfig) => Promise<T>,
): Promise<T> {
  const config = readRunbooksConfig(env);
  const database = openDatabase(
    { url: config.databaseUrl.reveal(), applicationName: "fettle-cli", max: 2 },
    log,
  );
  try {
    return await work(database, config);
  } finally {
    await database.close();
  }
}
