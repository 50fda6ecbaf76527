import { hostname } from "node:os";
import type { Queryable } from "../../lib/postgres.ts";
import { version } from "../../lib/version.ts";
import { appendDeed } from "../frame/record.ts";

/** That the service began or ended here; part of the record, as what is missing between two starts may matter. */
export async function recordLife(
  database: Queryable,
  action: "SystemStarted" | "SystemStopped",
): Promise<void> {
  const host = hostname();
  await appendDeed(database, {
    actor: "fettle",
    action,
    resource: "system",
    id: host,
    result: "Success",
    summary: action === "SystemStarted" ? `Started version ${version}` : "Stopped in order",
    facts: { version, pid: process.pid },
    ip: "local",
    organization: undefined,
  });
}
