import { hasCode } from "./error.ts";
import type { Readiness } from "./http.ts";
import type { Database } from "./postgres.ts";

/** Ready while the database answers and takes writes. What it says otherwise is for the log: /ready is open to everybody. */
export async function databaseReadiness(database: Pick<Database, "ping">): Promise<Readiness> {
  try {
    await database.ping();
    return { ready: true, checks: { database: { ok: true } } };
  } catch (error) {
    const detail = hasCode(error, "25006") ? "takes no writes" : "does not answer";
    return { ready: false, checks: { database: { ok: false, detail } } };
  }
}
