import type { Environment } from "../../lib/config.ts";
import type { Log } from "../../lib/log.ts";
import { shadowReport, type ShadowLine } from "../shadow.ts";
import { withDatabase } from "./with-database.ts";

/** For `fettle report shadow`. Times are milliseconds since 1970. */
export async function shadow(
  env: Environment,
  period: { readonly from: number; readonly to: number },
  log: Log,
): Promise<readonly ShadowLine[]> {
  const between = { from: new Date(period.from), to: new Date(period.to) };
  return withDatabase(env, log, async (database) => shadowReport(between, database));
}
