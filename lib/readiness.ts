import type { Readiness } from "./http.ts";
import type { Database } from "./postgres.ts";

/** Ready while the database answers. What it says otherwise is for the log: /ready is open to everybody. */
export async function databaseReadiness(database: Pick<Database, "ping">): Promise<Readiness> {
  try {
    await database.ping();
    return { ready: true, checks: { database: { ok: true } } };
  } catch {
    return { ready: false, checks: { database: { ok: false, detail: "does not answer" } } };
  }
}
